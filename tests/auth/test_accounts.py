from collections.abc import Callable, Mapping
from typing import Any

import pytest

from app.auth import accounts
from app.auth.accounts import Accounts
from app.auth.refusal import Refused
from app.db.statement import Statement


class Lane:
    """Answers as the database would, and counts how often it is asked."""

    def __init__(self, banned: Mapping[str, bool]) -> None:
        self.banned = dict(banned)
        self.asked = 0

    async def fetch(self, _: Statement, values: Mapping[str, Any]) -> tuple[bool] | None:
        self.asked += 1
        user_id = values["user_id"]
        return (self.banned[user_id],) if user_id in self.banned else None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = 1_000_000.0
    monkeypatch.setattr("app.auth.accounts.time.time", lambda: now)

    def advance(seconds: float) -> None:
        nonlocal now
        now += seconds

    return advance


def checking(**banned: bool) -> tuple[Lane, Accounts]:
    lane = Lane(banned)
    return lane, Accounts(lane)  # type: ignore[arg-type]  # a lane in all that matters here


@pytest.mark.parametrize(("user_id", "reason"), [("gone", "does not exist"), ("bad", "banned")])
async def test_a_user_is_asked_about_once_a_minute_whatever_the_answer(
    clock: Callable[[float], None], user_id: str, reason: str
) -> None:
    lane, subject = checking(good=False, bad=True)
    for _ in range(3):
        await subject.checked_until("good")
        with pytest.raises(Refused, match=reason):
            await subject.checked_until(user_id)
    assert lane.asked == 2
    clock(60)
    await subject.checked_until("good")
    assert lane.asked == 3


async def test_a_ban_and_its_end_are_noticed_within_a_minute(clock: Callable[[float], None]) -> None:
    lane, subject = checking(user=False)
    await subject.checked_until("user")
    lane.banned["user"] = True
    clock(59)
    await subject.checked_until("user")
    clock(1)
    with pytest.raises(Refused):
        await subject.checked_until("user")
    lane.banned["user"] = False
    clock(60)
    await subject.checked_until("user")


async def test_the_memory_of_users_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "REMEMBERED", 2)
    lane, subject = checking(a=False, b=False, c=False)
    for user_id in ("a", "b", "c", "c", "b", "a"):
        await subject.checked_until(user_id)
    assert lane.asked == 4

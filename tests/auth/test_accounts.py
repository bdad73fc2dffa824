from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import asyncpg
import pytest

from app.auth import accounts
from app.auth.accounts import IS_BANNED, Accounts
from app.auth.caller import Refused
from app.db.database import Database
from app.db.statement import Statement
from app.settings import Settings


class CountingDatabase(Database):
    asked = 0

    async def fetch(self, statement: Statement, values: Mapping[str, Any]) -> asyncpg.Record | None:
        self.asked += 1
        return await super().fetch(statement, values)


@pytest.fixture
async def owner(ours: Settings) -> AsyncIterator[asyncpg.Connection]:
    """Owns Better Auth's table `user`, which starts empty."""
    connection = await asyncpg.connect(ours.database_url)
    await connection.execute(
        """DROP TABLE IF EXISTS "user"; CREATE TABLE "user" (id text PRIMARY KEY, banned boolean)"""
    )
    yield connection
    await connection.close()


@pytest.fixture
async def database(ours: Settings, owner: asyncpg.Connection) -> AsyncIterator[CountingDatabase]:  # noqa: ARG001 - first
    database = CountingDatabase(ours)
    yield database
    await database.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = 1_000_000.0
    monkeypatch.setattr("app.auth.accounts.time.time", lambda: now)

    def advance(seconds: float) -> None:
        nonlocal now
        now += seconds

    return advance


@pytest.mark.parametrize(("user_id", "reason"), [("gone", "does not exist"), ("bad", "banned")])
async def test_a_user_is_asked_about_once_a_minute_whatever_the_answer(
    database: CountingDatabase, owner: asyncpg.Connection, clock: Callable[[float], None], user_id: str, reason: str
) -> None:
    await owner.execute("""INSERT INTO "user" VALUES ('good', false), ('bad', true)""")
    subject = Accounts(database)
    for _ in range(3):
        await subject.checked_until("good")
        with pytest.raises(Refused, match=reason):
            await subject.checked_until(user_id)
    assert database.asked == 2
    clock(60)
    await subject.checked_until("good")
    assert database.asked == 3


async def test_a_ban_and_its_end_are_noticed_within_a_minute(
    database: CountingDatabase, owner: asyncpg.Connection, clock: Callable[[float], None]
) -> None:
    await owner.execute("""INSERT INTO "user" VALUES ('u')""")
    subject = Accounts(database)
    await subject.checked_until("u")
    await owner.execute("""UPDATE "user" SET banned = true""")
    clock(59)
    await subject.checked_until("u")
    clock(1)
    with pytest.raises(Refused):
        await subject.checked_until("u")
    await owner.execute("""UPDATE "user" SET banned = false""")
    clock(60)
    await subject.checked_until("u")


async def test_the_memory_of_users_is_bounded(
    database: CountingDatabase, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "MAXIMUM_REMEMBERED", 2)
    await owner.execute("""INSERT INTO "user" VALUES ('a'), ('b'), ('c')""")
    subject = Accounts(database)
    for user_id in ("a", "b", "c", "c", "b", "a"):
        await subject.checked_until(user_id)
    assert database.asked == 4


@pytest.mark.parametrize(
    ("type_", "user_id"), [("uuid", "550e8400-e29b-41d4-a716-446655440000"), ("bigint", "42"), ("varchar(36)", "u")]
)
async def test_ids_may_be_of_any_type(
    database: CountingDatabase, owner: asyncpg.Connection, type_: str, user_id: str
) -> None:
    await owner.execute(f"""ALTER TABLE "user" ALTER id TYPE {type_} USING NULL""")
    await owner.execute(f"""INSERT INTO "user" VALUES ('{user_id}')""")  # noqa: S608 - one of the three above
    await Accounts(database).checked_until(user_id)
    with pytest.raises(Refused, match="does not exist"):
        await Accounts(database).checked_until("not-an-id-of-that-type")


@pytest.mark.parametrize("column", ['"banExpires"', "ban_expires"])
async def test_a_ban_may_end_by_itself_and_may_be_unknown_to_the_table(
    database: CountingDatabase, owner: asyncpg.Connection, column: str
) -> None:
    await owner.execute(f"""ALTER TABLE "user" ADD {column} timestamptz""")
    await owner.execute("""INSERT INTO "user" VALUES ('over', true, now() - interval '1 s')""")
    await owner.execute("""INSERT INTO "user" VALUES ('under way', true, now() + interval '1 h')""")
    await Accounts(database).checked_until("over")
    with pytest.raises(Refused, match="banned"):
        await Accounts(database).checked_until("under way")
    await owner.execute("""ALTER TABLE "user" DROP banned""")
    await Accounts(database).checked_until("under way")


@pytest.mark.parametrize("type_", ["text", "varchar(36)"])
async def test_ids_of_text_are_found_by_the_primary_key(owner: asyncpg.Connection, type_: str) -> None:
    await owner.execute(f"""ALTER TABLE "user" ALTER id TYPE {type_}; SET enable_seqscan = off""")
    plan = "\n".join(row[0] for row in await owner.fetch(f"EXPLAIN {IS_BANNED.sql}", "u"))
    assert "Index Cond" in plan

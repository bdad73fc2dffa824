import base64
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from app.auth import tokens
from app.auth.caller import Refused
from app.auth.tokens import TokenVerifier
from app.db.database import Database
from app.settings import Settings

SECRET = "k" * 4 + "3Jx9-Zq7_Lm2Vb5Nc8Xw1Rt6Yp0As4Df"
OTHER = "o" * 4 + "9Kd2_Hs6-Gf1Jl5Pq8Wm3Zx7Cv0Bn4Tr"


def verifier_with(**changes: Any) -> TokenVerifier:
    """A verifier whose database nobody asks."""
    settings = Settings(**{"database_url": "postgresql://localhost/none", "better_auth_secret": SECRET, **changes})
    return TokenVerifier(settings, Database(settings))


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    merged = {"sub": "user-1", "iat": now, "exp": now + 900, **changes}
    return {name: value for name, value in merged.items() if value is not ...}


def sign(payload: Any, secret: str = SECRET, algorithm: str = "HS256", **header: Any) -> str:
    """Sign anything, also what PyJWT would not."""
    head = {"alg": algorithm, "typ": "JWT", **header}
    parts = [segment(json.dumps({name: value for name, value in head.items() if value is not ...}).encode())]
    parts.append(segment(payload if isinstance(payload, bytes) else json.dumps(payload).encode()))
    signature = jwt.get_algorithm_by_name("HS256").sign(".".join(parts).encode(), secret.encode())
    return ".".join([*parts, segment(signature)])


def segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


async def subject(token: str, **changes: Any) -> str | None:
    try:
        return (await verifier_with(**changes).verify(token)).id
    except Refused:
        return None


@pytest.mark.parametrize(
    ("changes", "token", "accepted"),
    [
        ({"jwt_issuer": "https://a.example.org"}, {"iss": "https://a.example.org"}, True),
        ({"jwt_issuer": "https://a.example.org"}, {"iss": "https://a.example.org/"}, False),
        ({"jwt_issuer": "https://a.example.org"}, {}, False),
        ({"jwt_issuer": "https://a.example.org"}, {"iss": ["https://a.example.org"]}, False),
        ({"jwt_audience": ("tasks",)}, {"aud": "tasks"}, True),
        ({"jwt_audience": ("tasks",)}, {"aud": ["other", "tasks"]}, True),
        ({"jwt_audience": ("tasks",)}, {"aud": ["other"]}, False),
        ({"jwt_audience": ("tasks",)}, {"aud": "other tasks"}, False),
        ({"jwt_audience": ("tasks",)}, {"aud": {"tasks": 1}}, False),
        ({"jwt_audience": ("tasks",)}, {}, False),
        ({}, {"iss": None, "aud": None}, True),
        ({}, {"aud": []}, False),
    ],
)
async def test_issuer_and_audience_are_required_once_configured(
    changes: dict[str, Any], token: dict[str, Any], accepted: bool
) -> None:
    assert (await subject(sign(claims(**token)), **changes) is not None) is accepted


async def test_while_secrets_rotate_both_verify_and_afterwards_only_the_new_one() -> None:
    old, new = sign(claims(), SECRET), sign(claims(), OTHER)
    both = {"better_auth_secret": "", "better_auth_secrets": (OTHER, SECRET)}
    assert [await subject(old, **both), await subject(new, **both)] == ["user-1", "user-1"]
    one = {"better_auth_secret": OTHER}
    assert [await subject(old, **one), await subject(new, **one)] == [None, "user-1"]


@pytest.mark.parametrize("value", [5, "a\x00b", "x" * 321, "\ud800", None, ["a"]], ids=ascii)
async def test_claims_for_display_are_dropped_when_they_cannot_be_shown(value: Any) -> None:
    caller = await verifier_with().verify(sign(claims(email=value, name=value)))
    assert (caller.id, caller.email, caller.name) == ("user-1", None, None)


@pytest.mark.parametrize("name", ["Ada 😀", "", "x" * 320, "Line\nbreak", "ع\u200dم"], ids=ascii)
async def test_any_other_text_is_shown_as_it_is(name: str) -> None:
    caller = await verifier_with().verify(sign(claims(email="ada@example.org", name=name)))
    assert (caller.email, caller.name) == ("ada@example.org", name)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the verifier's time."""

    def advance(seconds: float) -> None:
        now = time.time() + seconds
        monkeypatch.setattr("app.auth.tokens.time.time", lambda: now)

    return advance


async def test_a_remembered_verdict_never_outlives_the_token(clock: Callable[[float], None]) -> None:
    verifier = verifier_with()
    token = sign(claims(exp=int(time.time()) + 20))
    assert verifier.remembered(token) is None
    assert await verifier.verify(token) is verifier.remembered(token)
    clock(21)
    assert verifier.remembered(token) is None
    with pytest.raises(Refused):
        await verifier.verify(token)


async def test_a_remembered_verdict_is_checked_again_after_a_minute(clock: Callable[[float], None]) -> None:
    verifier = verifier_with()
    token = sign(claims())
    first = await verifier.verify(token)
    clock(59)
    assert await verifier.verify(token) is first
    clock(61)
    again = await verifier.verify(token)
    assert again == first
    assert again is not first


async def test_the_memory_of_verdicts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "CACHE_ENTRIES", 3)
    verifier = verifier_with()
    signed = [sign(claims(sub=f"user-{number}")) for number in range(5)]
    first = await verifier.verify(signed[0])
    for token in signed[1:3]:
        await verifier.verify(token)
    assert await verifier.verify(signed[0]) is first
    for token in signed[3:]:
        await verifier.verify(token)
    assert [verifier.remembered(token) is not None for token in signed] == [True, False, False, True, True]
    assert verifier.remembered(signed[0]) is first
    long = sign(claims(more="x" * 4000))
    assert await verifier.verify(long) is not await verifier.verify(long)

import base64
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import jwt
import pytest

from app.auth import tokens
from app.auth.refusal import Refused
from app.auth.tokens import TokenVerifier
from app.settings import Settings
from tests.conftest import running

TASKS = "/api/me/tasks"
SECRET = "k" * 4 + "3Jx9-Zq7_Lm2Vb5Nc8Xw1Rt6Yp0As4Df"
OTHER = "o" * 4 + "9Kd2_Hs6-Gf1Jl5Pq8Wm3Zx7Cv0Bn4Tr"


def settings_with(**changes: Any) -> Settings:
    return Settings(**{"database_url": "postgresql://localhost/none", "better_auth_secret": SECRET, **changes})


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
        return (await TokenVerifier(settings_with(**changes)).verify(token)).id
    except Refused:
        return None


@pytest.mark.parametrize(
    "token",
    [
        sign(claims()),
        sign(claims(), typ=...),
        sign(claims(), typ="at+jwt"),
        sign(claims(), kid="anything"),
        sign(claims(iat=...)),
        sign(claims(email="ada@example.org", name="Ada", anything={"deep": [1]})),
        sign(claims(iat=time.time() + 5)),
        sign(claims(nbf=time.time() + 5)),
        sign(claims(exp=time.time() + 3600.5)),
    ],
)
async def test_an_access_token_of_better_auth_is_accepted(token: str) -> None:
    assert await subject(token) == "user-1"


@pytest.mark.parametrize("user_id", ["a", "A" * 128, "550e8400-e29b-41d4-a716-446655440000", "42", "_-"])
async def test_every_form_of_user_id_is_accepted(user_id: str) -> None:
    assert await subject(sign(claims(sub=user_id))) == user_id


REFUSED: dict[str, Callable[[], str]] = {
    "another secret": lambda: sign(claims(), OTHER),
    "expired a second ago": lambda: sign(claims(exp=int(time.time()) - 1)),
    "expires now": lambda: sign(claims(exp=int(time.time()))),
    "no exp": lambda: sign(claims(exp=...)),
    "exp null": lambda: sign(claims(exp=None)),
    "exp text": lambda: sign(claims(exp=str(int(time.time()) + 900))),
    "exp true": lambda: sign(claims(exp=True)),
    "exp infinite": lambda: sign(b'{"sub":"user-1","exp":1e999}'),
    "exp not a number": lambda: sign(b'{"sub":"user-1","exp":NaN}'),
    "exp list": lambda: sign(claims(exp=[9999999999])),
    "issued in the future": lambda: sign(claims(iat=time.time() + 60)),
    "iat infinite": lambda: sign(b'{"sub":"user-1","exp":9999999999,"iat":1e999}'),
    "not yet valid": lambda: sign(claims(nbf=time.time() + 60)),
    "nbf text": lambda: sign(claims(nbf="soon")),
    "no sub": lambda: sign(claims(sub=...)),
    "sub null": lambda: sign(claims(sub=None)),
    "sub number": lambda: sign(claims(sub=42)),
    "sub empty": lambda: sign(claims(sub="")),
    "sub with space": lambda: sign(claims(sub="a b")),
    "sub with NUL": lambda: sign(claims(sub="a\x00")),
    "sub with newline": lambda: sign(claims(sub="a\n")),
    "sub with slash": lambda: sign(claims(sub="a/b")),
    "sub not ASCII": lambda: sign(claims(sub="ä")),
    "sub too long": lambda: sign(claims(sub="a" * 129)),
    "sub list": lambda: sign(claims(sub=["user-1"])),
    "only userId": lambda: sign(claims(sub=..., userId="user-1")),
    "only id": lambda: sign(claims(sub=..., id="user-1")),
    "e-mail verification link": lambda: sign(claims(sub=..., userId="user-1", email="ada@example.org")),
    "audience that nobody configured": lambda: sign(claims(aud="x")),
    "audience list that nobody configured": lambda: sign(claims(aud=[])),
    "issuer that nobody configured": lambda: sign(claims(iss="x")),
    "alg none": lambda: sign(claims(), algorithm="none"),
    "alg None": lambda: sign(claims(), algorithm="None"),
    "alg HS512": lambda: sign(claims(), algorithm="HS512"),
    "alg hs256": lambda: sign(claims(), algorithm="hs256"),
    "alg EdDSA": lambda: sign(claims(), algorithm="EdDSA", kid="1"),
    "alg list": lambda: sign(claims(), alg=["HS256"]),
    "alg missing": lambda: sign(claims(), alg=...),
    "typ refresh": lambda: sign(claims(), typ="refresh"),
    "typ list": lambda: sign(claims(), typ=["JWT"]),
    "crit": lambda: sign(claims(), crit=["b64"], b64=False),
    "crit empty": lambda: sign(claims(), crit=[]),
    "kid number": lambda: sign(claims(), kid=1),
    "payload array": lambda: sign([1]),
    "payload text": lambda: sign(b"hello"),
    "payload not UTF-8": lambda: sign(b'{"sub":"\xff"}'),
    "payload deep": lambda: sign(b"[" * 5000),
    "header deep": lambda: ".".join([segment(b"[" * 5000), segment(b"{}"), "AA"]),
    "header array": lambda: ".".join([segment(b"[]"), segment(b"{}"), "AA"]),
    "huge number": lambda: sign(b'{"sub":"user-1","exp":' + b"9" * 5000 + b"}"),
    "empty signature": lambda: sign(claims()).rsplit(".", 1)[0] + ".",
    "no signature": lambda: sign(claims()).rsplit(".", 1)[0],
    "four parts": lambda: sign(claims()) + ".AA",
    "padding": lambda: sign(claims()) + "=",
    "white space inside": lambda: sign(claims()).replace(".", " ."),
    "newline at the end": lambda: sign(claims()) + "\n",
    "signature cut": lambda: sign(claims())[:-1],
    "payload swapped": lambda: ".".join(
        [sign(claims()).split(".")[0], segment(json.dumps(claims(sub="admin")).encode()), sign(claims()).split(".")[2]]
    ),
    "too long": lambda: sign(claims(more="x" * 9000)),
    "session cookie": lambda: "Zb4kqv0y8Uf2mS6tX1wC3nR5pL7jH9gD.c2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmE=",
    "nothing": lambda: "",
    "dots": lambda: "..",
    "not ASCII": lambda: "ä.ö.ü",
}


@pytest.mark.parametrize("case", REFUSED)
async def test_anything_else_is_refused(case: str) -> None:
    assert await subject(REFUSED[case]()) is None


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


async def test_claims_for_display_are_dropped_when_they_cannot_be_shown() -> None:
    verifier = TokenVerifier(settings_with())
    for value in (5, "a\x00b", "x" * 321, "\ud800", None, ["a"]):
        caller = await verifier.verify(sign(claims(email=value, name=value)))
        assert caller is not None
        assert (caller.id, caller.email, caller.name) == ("user-1", None, None)
    caller = await verifier.verify(sign(claims(email="ada@example.org", name="Ada 😀")))
    assert caller is not None
    assert (caller.email, caller.name) == ("ada@example.org", "Ada 😀")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the verifier's time."""

    def advance(seconds: float) -> None:
        now = time.time() + seconds
        monkeypatch.setattr("app.auth.tokens.time.time", lambda: now)

    return advance


async def test_a_remembered_verdict_never_outlives_the_token(clock: Callable[[float], None]) -> None:
    verifier = TokenVerifier(settings_with())
    token = sign(claims(exp=int(time.time()) + 20))
    assert await verifier.verify(token) is await verifier.verify(token)
    clock(21)
    with pytest.raises(Refused):
        await verifier.verify(token)


async def test_a_remembered_verdict_is_checked_again_after_a_minute(clock: Callable[[float], None]) -> None:
    verifier = TokenVerifier(settings_with())
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
    verifier = TokenVerifier(settings_with())
    signed = [sign(claims(sub=f"user-{number}")) for number in range(5)]
    first = await verifier.verify(signed[0])
    for token in signed[1:3]:
        await verifier.verify(token)
    assert await verifier.verify(signed[0]) is first
    for token in signed[3:]:
        await verifier.verify(token)
    assert await verifier.verify(signed[0]) is first
    long = sign(claims(more="x" * 4000))
    assert await verifier.verify(long) is not await verifier.verify(long)


async def test_only_the_whole_token_is_remembered() -> None:
    verifier = TokenVerifier(settings_with())
    token = sign(claims())
    assert await verifier.verify(token) is not None
    with pytest.raises(Refused):
        await verifier.verify(token[:-2] + ("AA" if token[-2:] != "AA" else "BB"))


def header(*values: str | bytes) -> list[tuple[bytes, bytes]]:
    return [(b"Authorization", value if isinstance(value, bytes) else value.encode()) for value in values]


@pytest.fixture
async def signed(settings: Settings, user_id: str) -> str:
    return sign(claims(sub=user_id), settings.better_auth_secret)


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ("Bearer {}", 200),
        ("bearer {}", 200),
        ("BEARER   {}", 200),
        ("{}", 401),
        ("Basic {}", 401),
        ("Token {}", 401),
        ("Bearer{}", 401),
        ("Bearer\t{}", 401),
        ("Bearer {} ", 401),
        ("Bearer {}, Bearer {}", 401),
        ("Bearer", 401),
        ("", 401),
    ],
)
async def test_only_the_bearer_scheme_is_read(
    anonymous: httpx.AsyncClient, signed: str, form: str, status: int
) -> None:
    response = await anonymous.get(TASKS, headers=header(form.replace("{}", signed)))
    assert response.status_code == status


async def test_tokens_from_anywhere_else_are_not_read(anonymous: httpx.AsyncClient, signed: str) -> None:
    for attempt in (
        anonymous.get(TASKS, params={"token": signed, "access_token": signed}),
        anonymous.get(TASKS, headers={"Cookie": f"token={signed}; better-auth.session_data={signed}"}),
        anonymous.get(TASKS, headers={"X-Authorization": f"Bearer {signed}"}),
        anonymous.get(TASKS, headers=header(f"Bearer {signed}", f"Bearer {signed}")),
        anonymous.post(TASKS, json={"title": "x", "access_token": signed}),
    ):
        assert (await attempt).status_code == 401


async def test_every_refusal_looks_the_same(anonymous: httpx.AsyncClient) -> None:
    answers = [
        await anonymous.request(method, path, headers=header(*given), content=b"not json")
        for given in ([], ["Bearer x"], [f"Bearer {sign(claims(), OTHER)}"], [f"Bearer {sign(claims(exp=1))}"])
        for method, path in [
            ("GET", TASKS),
            ("POST", TASKS),
            ("DELETE", "/api/me"),
            ("PATCH", f"{TASKS}/abc"),
            ("GET", f"{TASKS}?limit=0"),
        ]
    ]
    assert {answer.status_code for answer in answers} == {401}
    challenges = {"authorization" in answer.request.headers: answer.headers["www-authenticate"] for answer in answers}
    assert challenges == {False: "Bearer", True: 'Bearer error="invalid_token"'}
    bodies = [{**answer.json(), "request_id": ""} for answer in answers]
    assert all(body == bodies[0] for body in bodies)
    assert bodies[0]["detail"] == "Invalid or missing token"


async def test_the_configured_issuer_and_audience_hold_for_the_whole_application(settings: Settings) -> None:
    strict = replace(settings, jwt_issuer="https://auth.example.org", jwt_audience=("tasks",))
    async with running(strict) as app:
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # Litestar's scopes are TypedDicts
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            right = sign(claims(iss="https://auth.example.org", aud=["tasks"]), settings.better_auth_secret)
            assert (await client.get(TASKS, headers=header(f"Bearer {right}"))).status_code == 200
            wrong = sign(claims(), settings.better_auth_secret)
            assert (await client.get(TASKS, headers=header(f"Bearer {wrong}"))).status_code == 401

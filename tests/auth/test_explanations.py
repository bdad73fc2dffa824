import asyncio
import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner, Result

from app.cli import Commands
from app.settings import Settings
from tests.auth.test_tokens import OTHER, claims, segment, sign
from tests.conftest import client_of, running

URL = "http://127.0.0.1:1"
SESSION = {
    "session": {"id": "s", "userId": "user-1", "token": "s3cret-session", "expiresAt": "2999-01-01T00:00:00.000Z"},
    "user": {"id": "user-1", "email": "ada@example.org", "name": "Ada"},
    "updatedAt": 1,
    "version": "1",
    "iat": int(time.time()),
    "exp": int(time.time()) + 3600,
}


@pytest.fixture
def check(settings: Settings) -> Callable[..., Result]:
    """Run `litestar token check` in this process."""

    def run(token: str, **changes: Any) -> Result:
        cli = click.Group()
        Commands(replace(settings, **changes)).on_cli_init(cli)
        return CliRunner().invoke(cli, ["token", "check", "-"], input=token)

    return run


MISTAKES: list[tuple[str, Callable[[str], str], dict[str, Any], str]] = [
    ("a session token", lambda _: "Zb4kqv0y8Uf2mS6tX1wC3nR5pL7jH9gD." + "c2lnbmF0dXJl" * 4, {}, "/api/auth/token"),
    ("a bare session token", lambda _: "Zb4kqv0y8Uf2mS6tX1wC3nR5pL7jH9gD", {}, "session token"),
    ("nothing like a JWT", lambda _: "hello", {}, "three parts"),
    ("an encrypted token", lambda _: "a.b.c.d.e", {}, "encrypted"),
    ("another secret", lambda _: sign(claims(), OTHER), {}, "BETTER_AUTH_SECRET"),
    ("EdDSA without its keys", lambda _: sign(claims(), algorithm="EdDSA", kid="1"), {}, "set BETTER_AUTH_URL"),
    (
        "HS256 without a secret",
        lambda secret: sign(claims(), secret),
        {"better_auth_secret": "", "better_auth_url": URL},
        "set BETTER_AUTH_SECRET",
    ),
    ("too late", lambda secret: sign(claims(exp=int(time.time()) - 100), secret), {}, "seconds ago: fetch a new one"),
    ("a clock ahead", lambda secret: sign(claims(iat=time.time() + 300), secret), {}, "seconds in the future"),
    ("no expiry", lambda secret: sign(claims(exp=...), secret), {}, "no `exp`"),
    ("no subject", lambda secret: sign(claims(sub=..., userId="user-1"), secret), {}, "no `sub`"),
    ("an e-mail link", lambda secret: sign(claims(sub=..., email="ada@example.org"), secret), {}, "e-mail link"),
    ("an address as subject", lambda secret: sign(claims(sub="ada@example.org"), secret), {}, "not a user id"),
    ("two users", lambda secret: sign(claims(userId="user-2"), secret), {}, "two different users"),
    ("another purpose", lambda secret: sign(claims(purpose="reset"), secret), {}, "another purpose"),
    ("a session JWT", lambda secret: sign(SESSION, secret), {}, "ACCEPT_SESSION_JWT"),
    ("an unexpected audience", lambda secret: sign(claims(aud="x"), secret), {}, "none is configured"),
    (
        "another audience",
        lambda secret: sign(claims(aud="x"), secret),
        {"jwt_audience": ("y",)},
        "'x', but 'y' is expected",
    ),
    ("another issuer", lambda secret: sign(claims(iss="x"), secret), {"jwt_issuer": "y"}, "'x', but 'y' is expected"),
    ("an unexpected issuer", lambda secret: sign(claims(iss="x"), secret), {}, "none is configured"),
    ("a key without an id", lambda _: sign(claims(), algorithm="EdDSA"), {"better_auth_url": URL}, "no `kid`"),
    ("another type", lambda secret: sign(claims(), secret, typ="dpop+jwt"), {}, "another kind of token"),
    ("critical extensions", lambda secret: sign(claims(), secret, crit=["x"]), {}, "crit"),
    ("a header that is none", lambda _: f"{segment(b'[]')}.e30.AA", {}, "header is not a JSON object"),
    ("a header that is no base64", lambda _: "a.e30.AA", {}, "not base64url"),
    ("a payload that is none", lambda secret: sign([1], secret), {}, "payload is not a JSON object"),
    ("a token bound to a key", lambda secret: sign(claims(cnf={"jkt": "x"}), secret), {}, "`cnf`"),
    ("an ID token", lambda secret: sign(claims(acr="0"), secret), {}, "an ID token"),
    ("a logout token", lambda secret: sign(claims(events={}), secret), {}, "a logout token"),
    ("a logout token's type", lambda secret: sign(claims(), secret, typ="logout+jwt"), {}, "another kind of token"),
    ("a client's own token", lambda secret: sign(claims(client_id="user-1"), secret), {}, "not for a user"),
    (
        "an OAuth client without scopes",
        lambda secret: sign(claims(scope="openid"), secret),
        {},
        "every route answers 403",
    ),
    ("an opaque token", lambda _: "abcdefghijklmnopqrstuvwxyzABCDEF", {}, "`resource`"),
    ("too long", lambda _: "a" * 9000, {}, "longer than"),
]


@pytest.mark.parametrize(
    ("token", "changes", "hint"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES]
)
def test_a_refusal_is_explained_without_giving_anything_away(
    check: Callable[..., Result], settings: Settings, token: Callable[[str], str], changes: dict[str, Any], hint: str
) -> None:
    text = token(settings.better_auth_secret)
    result = check(text, **changes)
    assert result.exit_code == 1
    assert result.stdout.startswith("Refused: it")
    assert hint in result.stdout
    assert settings.better_auth_secret not in result.output
    assert len(text) < 10 or text not in result.output
    assert "s3cret-session" not in result.output


def test_every_documented_reason_is_one_that_the_code_gives() -> None:
    document = Path("docs/authentication.md").read_text()
    reasons = re.findall(r"^\| (its? .*?) \|", document, flags=re.MULTILINE)
    source = "".join(path.read_text() for path in Path("app/auth").glob("*.py"))
    assert len(reasons) >= 10
    assert [part for reason in reasons for part in re.split("…|: ", reason) if part not in source] == []


def test_an_accepted_token_is_named_with_its_user(check: Callable[..., Result], settings: Settings) -> None:
    for text in (
        sign(claims(), settings.better_auth_secret),
        f"Bearer {sign(claims(), settings.better_auth_secret)}\n",
    ):
        result = check(text)
        assert (result.exit_code, result.stdout) == (0, "Accepted: it speaks for the user user-1.\n")


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        ("tasks:read", "with tasks:read, so it may read (GET, HEAD), but never erase"),
        ("tasks:write", "with tasks:write, so it may write (every other method), but never erase"),
        ("openid tasks:write tasks:read", "so it may read (GET, HEAD) and write (every other method), but never erase"),
    ],
)
def test_a_token_of_an_oauth_client_is_named_with_what_it_may_do(
    check: Callable[..., Result], settings: Settings, scope: str, said: str
) -> None:
    result = check(sign(claims(scope=scope), settings.better_auth_secret, typ="at+jwt"))
    assert result.exit_code == 0
    assert result.stdout.startswith("Accepted: it is an OAuth client's")
    assert "for the user user-1," in result.stdout
    assert said in result.stdout


def test_an_issuer_that_cannot_be_asked_is_no_verdict(check: Callable[..., Result]) -> None:
    token = sign(claims(iss=URL, aud=URL), algorithm="EdDSA", kid="1")
    result = check(token, better_auth_url=URL)
    assert result.exit_code == 1
    assert "Cannot be decided" in result.stdout


async def test_the_reason_stands_in_the_log_at_debug_level_and_not_in_the_answer(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    chatty = replace(settings, log_level="debug", log_format="json")
    token = sign(claims(), OTHER)
    async with running(chatty) as app, client_of(app, settings, "somebody") as client:
        response = await client.get("/api/me/tasks", headers={"Authorization": f"Bearer {token}"})
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [refusal] = [line for line in lines if line["event"] == "token refused"]
    assert "BETTER_AUTH_SECRET" in refusal["reason"]
    assert refusal["request_id"] == response.headers["x-request-id"]
    assert response.json()["detail"] == "Invalid or missing token"
    assert not any(token in json.dumps(line) for line in lines)


async def test_an_accepted_session_jwt_speaks_for_its_user(settings: Settings) -> None:
    accepting = replace(settings, accept_session_jwt=True)
    token = sign(SESSION, settings.better_auth_secret)
    async with running(accepting) as app, client_of(app, settings, "x") as client:
        profile = (await client.get("/api/me", headers={"Authorization": f"Bearer {token}"})).json()
    assert (profile["id"], profile["email"], profile["name"]) == ("user-1", "ada@example.org", "Ada")


async def test_checking_users_without_better_auths_table_is_503(settings: Settings) -> None:
    checking = replace(settings, check_user=True)
    async with running(checking) as app, client_of(app, settings, "x") as client:
        responses: list[httpx.Response] = await asyncio.gather(*(client.get("/api/me") for _ in range(2)))
    assert {response.status_code for response in responses} == {503}

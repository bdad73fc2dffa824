"""A token that an OAuth client was granted may do what its scopes say, and no more."""

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from app.auth.caller import Refused
from app.auth.scopes import granted
from app.settings import Settings
from tests.auth.test_tokens import claims, sign
from tests.conftest import client_of, running

READ = "tasks:read"
WRITE = "tasks:write"
NEW = {"title": "Buy milk"}


def challenge(scope: str) -> str:
    return f'Bearer error="insufficient_scope", scope="{scope}"'


@pytest.fixture(scope="module", params=[True, False], ids=["direct", "litestar"])
async def api(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        running(replace(settings, direct_dispatch=request.param)) as app,
        client_of(app, settings, "x") as client,
    ):
        yield client


@pytest.fixture
def token(settings: Settings, user_id: str) -> Callable[..., dict[str, str]]:
    """Return headers with a token that has further claims."""

    def make(typ: str = "JWT", **changes: Any) -> dict[str, str]:
        text = sign(claims(**{"sub": user_id, **changes}), settings.better_auth_secret, typ=typ)
        return {"Authorization": f"Bearer {text}"}

    return make


Token = Callable[..., dict[str, str]]


async def test_each_scope_opens_its_methods_and_no_others(api: httpx.AsyncClient, token: Token) -> None:
    created = await api.post("/api/me/tasks", headers=token(), json=NEW)
    task = created.headers["location"]
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "/api/me", {}),
        ("GET", "/api/me/stats", {}),
        ("GET", "/api/me/tasks", {}),
        ("HEAD", "/api/me/tasks", {}),
        ("GET", task, {}),
        ("POST", "/api/me/tasks", {"json": NEW}),
        ("PUT", task, {"json": NEW}),
        ("PATCH", task, {"json": NEW}),
        ("PATCH", f"{task}/complete", {}),
        ("DELETE", task, {}),
    ]
    for method, path, given in requests:
        needed, other = (READ, WRITE) if method in {"GET", "HEAD"} else (WRITE, READ)
        for scope in ("openid profile", other, ""):
            refused = await api.request(method, path, headers=token(scope=scope), **given)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (403, challenge(needed)), (
                method,
                path,
            )
            assert method == "HEAD" or refused.json()["code"] == "insufficient_scope"
        answer = await api.request(method, path, headers=token(scope=f"openid {needed}"), **given)
        assert answer.is_success, (method, path)


async def test_a_write_that_was_refused_changed_nothing(api: httpx.AsyncClient, token: Token) -> None:
    task = (await api.post("/api/me/tasks", headers=token(), json=NEW)).headers["location"]
    before = (await api.get(task, headers=token())).content
    reading = token(scope=READ)
    for method, path in (("PATCH", f"{task}/complete"), ("DELETE", task), ("DELETE", "/api/me")):
        assert (await api.request(method, path, headers=reading)).status_code == 403
    assert (await api.get(task, headers=token())).content == before


async def test_no_scope_lets_an_oauth_client_erase_the_account(
    api: httpx.AsyncClient, token: Token, user_id: str
) -> None:
    await api.post("/api/me/tasks", headers=token(), json=NEW)
    for path in ("/api/me", f"/api/{user_id}"):
        refused = await api.delete(path, headers=token("at+jwt", scope=f"{READ} {WRITE}"))
        assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")
        assert refused.headers["www-authenticate"] == 'Bearer error="insufficient_scope"'
    assert len((await api.get("/api/me/tasks", headers=token())).json()) == 1
    assert (await api.delete("/api/me", headers=token())).status_code == 204


@pytest.mark.parametrize("kind", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+JWT"])
async def test_the_type_of_an_access_token_alone_makes_it_an_oauth_clients(
    api: httpx.AsyncClient, token: Token, kind: str
) -> None:
    assert (await api.get("/api/me", headers=token(kind))).status_code == 403
    assert (await api.get("/api/me", headers=token(kind, scope=READ))).status_code == 200


@pytest.mark.parametrize(
    "mark",
    [
        {"azp": "client-1"},
        {"client_id": "client-1"},
        {"azp": ""},
        {"scope": "student"},
        {"scope": ""},
        {"scope": f"{READ}\t{WRITE}"},
        {"scope": READ.upper()},
        {"scope": f"{READ},{WRITE}"},
        {"scope": [READ, WRITE]},
        {"scope": {READ: True}},
        {"scope": 1},
        {"scope": False},
        {"scp": [READ, WRITE]},
        {"scopes": [READ, WRITE]},
        {"scopes": f"{READ} {WRITE}"},
    ],
    ids=str,
)
async def test_each_mark_takes_the_power_that_only_the_claim_scope_gives(
    api: httpx.AsyncClient, token: Token, mark: dict[str, Any]
) -> None:
    read = await api.get("/api/me", headers=token(**mark))
    assert (read.status_code, read.headers["www-authenticate"]) == (403, challenge(READ))
    written = await api.post("/api/me/tasks", headers=token(**mark), json=NEW)
    assert (written.status_code, written.headers["www-authenticate"]) == (403, challenge(WRITE))


@pytest.mark.parametrize(
    "column",
    [
        {"azp": None, "client_id": None, "scope": None, "scp": None, "scopes": None, "cnf": None},
        {"acr": None, "auth_time": None, "at_hash": None, "events": None},
        {"sid": "x"},
        {"nonce": "0x5f3a"},
        {"events": 3},
        {"events": ["party"]},
        {"roles": ["admin"]},
    ],
    ids=str,
)
async def test_a_token_of_the_users_own_app_needs_no_scope_whatever_columns_a_user_has(
    api: httpx.AsyncClient, token: Token, column: dict[str, Any]
) -> None:
    assert (await api.post("/api/me/tasks", headers=token(**column), json=NEW)).status_code == 201


async def test_a_remembered_token_keeps_its_own_scopes(api: httpx.AsyncClient, token: Token) -> None:
    own, reading, nothing = token(), token(scope=READ), token(scope="openid")
    for _ in range(3):
        assert (await api.post("/api/me/tasks", headers=own, json=NEW)).status_code == 201
        assert (await api.post("/api/me/tasks", headers=reading, json=NEW)).status_code == 403
        assert (await api.get("/api/me/tasks", headers=reading)).status_code == 200
        assert (await api.get("/api/me/tasks", headers=nothing)).status_code == 403


async def test_it_is_decided_after_whose_token_and_path_it_is_and_before_everything_else(
    api: httpx.AsyncClient, token: Token
) -> None:
    expired = token("at+jwt", exp=int(time.time()) - 1)
    assert (await api.get("/api/me", headers=expired)).status_code == 401
    assert (await api.get("/api/somebody-else", headers=token("at+jwt"))).json()["code"] == "forbidden"
    for method, path in (("GET", "/api/me/tasks/abc"), ("GET", "/api/me/tasks?limit=x"), ("POST", "/api/me/tasks")):
        answer = await api.request(method, path, headers=token("at+jwt"), content=b"{")
        assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")


NO_ACCESS_TOKENS: dict[str, tuple[dict[str, Any], str]] = {
    "a token bound to a key": ({"cnf": {"jkt": "x"}, "scope": READ}, "`cnf`"),
    "a token bound to something odd": ({"cnf": ""}, "`cnf`"),
    "an ID token": ({"acr": "0", "auth_time": 1, "at_hash": "x", "nonce": "n"}, "ID token"),
    "an ID token of an older Better Auth": ({"acr": "urn:mace:incommon:iap:silver"}, "ID token"),
    "an ID token that names its client": ({"azp": "client-1", "at_hash": "x"}, "ID token"),
    "a logout token": ({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}, "logout token"),
    "a token of a client itself": ({"sub": "client-1", "client_id": "client-1", "scope": READ}, "not for a user"),
    "a token of an authorized party itself": ({"sub": "client-1", "azp": "client-1", "scope": READ}, "not for a user"),
}


@pytest.mark.parametrize("case", NO_ACCESS_TOKENS)
async def test_what_is_no_access_token_for_a_user_is_refused(api: httpx.AsyncClient, token: Token, case: str) -> None:
    changes, hint = NO_ACCESS_TOKENS[case]
    answer = await api.get("/api/me", headers=token(**changes))
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    with pytest.raises(Refused, match=hint):
        granted(changes, access_token=False)


def test_the_type_of_an_access_token_does_not_excuse_a_binding_or_a_missing_user() -> None:
    for changes in ({"cnf": {"jkt": "x"}}, {"sub": "client-1", "client_id": "client-1"}):
        with pytest.raises(Refused):
            granted(changes, access_token=True)


def test_an_access_token_may_say_how_its_user_signed_in() -> None:
    said = {"acr": "0", "auth_time": 1, "amr": ["pwd"], "scope": READ}
    assert granted(said, access_token=True) == frozenset({READ})

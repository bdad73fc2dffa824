"""What Better Auth's OAuth provider signs, with the keys of jwt(), opens no more than the user granted."""

from asyncio import to_thread
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import jwt
import pytest

from app.cli import explain
from app.settings import Settings
from tests.auth.better_auth.conftest import TASKS, BetterAuth, api, ask, assert_accepted, assert_refused, claims_of
from tests.auth.better_auth.issuer import Account, Issuer
from tests.auth.better_auth.oauth import PROVIDER, RESOURCE, Client
from tests.processes import Server, command, copied_project

NEW = {"title": "Buy milk"}


@pytest.fixture
async def issuer(better_auth: BetterAuth) -> Issuer:
    return await better_auth(plugins={"jwt": {}, "oauth": PROVIDER})


@pytest.fixture
async def account(issuer: Issuer) -> Account:
    return await issuer.sign_up()


@pytest.fixture
async def calendar(issuer: Issuer) -> Client:
    return await Client.register(issuer)


@pytest.fixture
def accepting(issuer: Issuer) -> dict[str, Any]:
    """Settings for tokens of the user's own app and of OAuth clients."""
    return {"better_auth_url": issuer.origin, "jwt_audience": (issuer.origin, RESOURCE)}


@pytest.fixture
async def client(settings: Settings, accepting: dict[str, Any]) -> AsyncIterator[httpx.AsyncClient]:
    async with api(settings, **accepting) as client:
        yield client


@pytest.fixture
def ours(settings: Settings, accepting: dict[str, Any]) -> Settings:
    return replace(settings, **accepting, better_auth_secret="")


async def assert_insufficient(response: httpx.Response, scope: str) -> None:
    assert (response.status_code, response.json()["code"]) == (403, "insufficient_scope")
    assert response.headers["WWW-Authenticate"] == f'Bearer error="insufficient_scope", scope="{scope}"'


async def write(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.post(TASKS, headers={"Authorization": f"Bearer {token}"}, json=NEW)


async def test_a_client_with_the_scope_openid_may_neither_read_nor_write(
    calendar: Client, account: Account, client: httpx.AsyncClient, ours: Settings
) -> None:
    token = (await calendar.tokens(account, "openid"))["access_token"]
    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
    assert claims_of(token).items() > {"sub": account.id, "azp": calendar.id, "scope": "openid"}.items()
    await assert_insufficient(await ask(client, token), "tasks:read")
    await assert_insufficient(await write(client, token), "tasks:write")
    accepted, sentence = await explain(ours, token)
    assert not accepted
    assert f"for the user {account.id}, without the scopes tasks:read and tasks:write" in sentence


async def test_a_client_that_may_read_does_not_write(
    calendar: Client, account: Account, client: httpx.AsyncClient, ours: Settings
) -> None:
    token = (await calendar.tokens(account, "openid tasks:read"))["access_token"]
    assert (await ask(client, token)).status_code == 200
    headers = {"Authorization": f"Bearer {token}"}
    assert (await client.get("/api/me", headers=headers)).json()["id"] == account.id
    await assert_insufficient(await write(client, token), "tasks:write")
    accepted, sentence = await explain(ours, token)
    assert accepted
    assert f"for the user {account.id}, with tasks:read, so it may read" in sentence


async def test_a_client_that_may_read_and_write_does_both_but_never_erases_the_account(
    calendar: Client, account: Account, client: httpx.AsyncClient, ours: Settings
) -> None:
    token = (await calendar.tokens(account, "tasks:read tasks:write"))["access_token"]
    await assert_accepted(client, token, account)
    erased = await client.delete("/api/me", headers={"Authorization": f"Bearer {token}"})
    assert (erased.status_code, erased.json()["code"]) == (403, "insufficient_scope")
    accepted, sentence = await explain(ours, token)
    assert accepted
    assert "with tasks:read and tasks:write" in sentence


async def test_a_running_server_and_its_command_keep_a_client_to_its_scopes(
    calendar: Client, account: Account, settings: Settings
) -> None:
    token = (await calendar.tokens(account, "openid tasks:read"))["access_token"]
    variables: dict[str, Any] = {
        "DATABASE_URL": settings.database_url,
        "BETTER_AUTH_URL": calendar.issuer.origin,
        "JWT_AUDIENCE": f"{calendar.issuer.origin},{RESOURCE}",
    }
    with copied_project() as folder:
        server = await to_thread(Server(folder, **variables).serving)
        async with httpx.AsyncClient(base_url=server.url) as client:
            assert (await ask(client, token)).json() == []
            await assert_insufficient(await write(client, token), "tasks:write")
            await assert_accepted(client, await account.jwt(), account)
        told = await to_thread(command, folder, "litestar", "token", "check", token, **variables)
    assert told.returncode == 0
    assert told.stdout.startswith("Accepted: it is an OAuth client's")


async def test_the_users_own_app_goes_on_with_its_own_tokens(
    calendar: Client, account: Account, client: httpx.AsyncClient, ours: Settings
) -> None:
    await calendar.tokens(account, "openid")
    token = await account.jwt()
    await assert_accepted(client, token, account)
    assert await explain(ours, token) == (True, f"Accepted: it speaks for the user {account.id}.")
    erased = await client.delete("/api/me", headers={"Authorization": f"Bearer {token}"})
    assert erased.status_code == 204


async def test_a_token_for_another_resource_is_refused(
    settings: Settings, issuer: Issuer, calendar: Client, account: Account
) -> None:
    token = (await calendar.tokens(account, "tasks:read"))["access_token"]
    assert claims_of(token)["aud"] == RESOURCE
    for audience in (), ("https://other.example.org",):
        async with api(settings, better_auth_url=issuer.origin, jwt_audience=audience) as client:
            await assert_refused(client, token)
            sentence = await explain(replace(settings, better_auth_url=issuer.origin, jwt_audience=audience), token)
            assert "its audience is" in sentence[1]


async def test_the_issuer_of_the_provider_is_accepted_where_it_is_configured(
    better_auth: BetterAuth, settings: Settings
) -> None:
    base = await better_auth(options={"basePath": "/custom/auth"}, plugins={"jwt": {}, "oauth": PROVIDER})
    named = await better_auth(plugins={"jwt": {"jwt": {"issuer": "https://id.example.org"}}, "oauth": PROVIDER})
    for issuer, changes, expected in (
        (base, {"better_auth_url": base.url}, base.url),
        (named, {"better_auth_url": named.origin, "jwt_issuer": "https://id.example.org"}, "https://id.example.org"),
    ):
        account = await issuer.sign_up()
        token = (await (await Client.register(issuer)).tokens(account, "tasks:read tasks:write"))["access_token"]
        assert claims_of(token)["iss"] == expected
        async with api(settings, **changes, jwt_audience=(RESOURCE,)) as client:
            await assert_accepted(client, token, account)
        elsewhere = {"better_auth_url": issuer.origin, "jwks_url": f"{issuer.url}/jwks"}
        async with api(settings, **elsewhere, jwt_audience=(RESOURCE,)) as client:
            await assert_refused(client, token)


async def test_a_token_that_is_bound_to_a_key_of_its_client_is_refused(
    calendar: Client, account: Account, client: httpx.AsyncClient, ours: Settings
) -> None:
    answer = await calendar.tokens(account, "tasks:read", bound=True)
    assert answer["token_type"] == "DPoP"
    assert "jkt" in claims_of(answer["access_token"])["cnf"]
    await assert_refused(client, answer["access_token"])
    assert "`cnf`" in (await explain(ours, answer["access_token"]))[1]


async def test_an_opaque_token_is_refused_and_explained(
    calendar: Client, account: Account, client: httpx.AsyncClient, ours: Settings
) -> None:
    token = (await calendar.tokens(account, "tasks:read", resource=None))["access_token"]
    await assert_refused(client, token)
    assert "`resource`" in (await explain(ours, token))[1]


async def test_an_id_token_is_refused_even_where_its_audience_is_accepted(
    settings: Settings, issuer: Issuer, calendar: Client, account: Account
) -> None:
    token = (await calendar.tokens(account, "openid profile tasks:read tasks:write"))["id_token"]
    assert claims_of(token).items() > {"sub": account.id, "aud": calendar.id, "iss": issuer.url}.items()
    for named in {}, {"jwt_issuer": issuer.url}:
        audiences = (issuer.origin, calendar.id)
        careless: dict[str, Any] = {"better_auth_url": issuer.origin, "jwt_audience": audiences, **named}
        async with api(settings, **careless) as client:
            await assert_refused(client, token)
        sentence = (await explain(replace(settings, **careless), token))[1]
        assert "it is an ID token" in sentence


async def test_a_logout_token_is_refused_even_where_its_audience_is_accepted(
    settings: Settings, issuer: Issuer, calendar: Client, account: Account
) -> None:
    await calendar.tokens(account, "openid", resource=None)  # clients are told if the server has stored their token
    (await account.browser.post("sign-out")).raise_for_status()
    token = await issuer.logout_token(calendar.id)
    assert claims_of(token).items() > {"sub": account.id, "aud": calendar.id}.items()
    careless: dict[str, Any] = {
        "better_auth_url": issuer.origin,
        "jwt_issuer": issuer.url,
        "jwt_audience": (calendar.id,),
    }
    async with api(settings, **careless) as client:
        await assert_refused(client, token)
    assert "'logout+jwt'" in (await explain(replace(settings, **careless), token))[1]

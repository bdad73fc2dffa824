"""What else a Better Auth server hands out is no access token, even where the same secret or key signed it."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import pytest

from app.settings import Settings
from tests.auth.better_auth.conftest import BetterAuth, api, assert_accepted, assert_refused, claims_of
from tests.auth.better_auth.issuer import PASSWORD, Issuer

COOKIE_CACHE: dict[str, Any] = {"session": {"cookieCache": {"enabled": True, "strategy": "jwt"}}}


@pytest.fixture
async def issuer(better_auth: BetterAuth) -> Issuer:
    return await better_auth(plugins={"jwt": {}, "bearer": {}})


@pytest.fixture
async def client(settings: Settings, issuer: Issuer) -> AsyncIterator[httpx.AsyncClient]:
    """Accepts the issuer's asymmetric tokens and bridge tokens."""
    async with api(settings, better_auth_url=issuer.origin, better_auth_secret=issuer.secret) as client:
        yield client


async def test_session_tokens_are_refused_with_and_without_their_signature(
    issuer: Issuer, client: httpx.AsyncClient
) -> None:
    account = await issuer.sign_up()
    await assert_accepted(client, await account.jwt(), account)
    signed = account.cookie("session_token")
    assert signed.endswith("%3D")
    await assert_refused(client, signed)
    await assert_refused(client, signed.partition(".")[0])


async def test_the_token_of_the_bearer_plugin_is_refused(issuer: Issuer, client: httpx.AsyncClient) -> None:
    account = await issuer.sign_up()
    response = await account.browser.post("sign-in/email", json={"email": account.email, "password": PASSWORD})
    token = response.headers["set-auth-token"]
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=issuer.url, headers=headers, timeout=30) as bearer:
        session = (await bearer.get("get-session")).json()
    assert session["user"]["id"] == account.id
    await assert_refused(client, token)


async def test_the_token_in_the_header_of_a_session_response_is_accepted(
    issuer: Issuer, client: httpx.AsyncClient
) -> None:
    account = await issuer.sign_up()
    response = await account.browser.get("get-session")
    await assert_accepted(client, response.headers["set-auth-jwt"], account)


async def test_the_token_of_a_verification_email_is_refused(issuer: Issuer, client: httpx.AsyncClient) -> None:
    account = await issuer.sign_up()
    token = await issuer.mailed_token(account.email)
    claims = jwt.decode(token, issuer.secret, algorithms=["HS256"])
    assert (claims["userId"], claims["email"]) == (account.id, account.email)
    await assert_refused(client, token)
    await assert_accepted(client, await issuer.bridge_token(sub=account.id), account)


async def test_tokens_of_a_change_of_email_are_refused(issuer: Issuer, client: httpx.AsyncClient) -> None:
    account = await issuer.sign_up()
    request = {"newEmail": f"new-{account.email}"}
    (await account.browser.post("change-email", json=request)).raise_for_status()
    verification = await issuer.mailed_token(request["newEmail"])
    link = {"token": await issuer.mailed_token(account.email)}
    (await account.browser.get("verify-email", params=link)).raise_for_status()
    (await account.browser.post("change-email", json=request)).raise_for_status()
    confirmation = await issuer.mailed_token(request["newEmail"])
    for token, kind in (verification, "change-email-verification"), (confirmation, "change-email-confirmation"):
        claims = jwt.decode(token, issuer.secret, algorithms=["HS256"])
        assert (claims["requestType"], claims["userId"]) == (kind, account.id)
        await assert_refused(client, token)


async def test_the_jwt_of_the_cookie_cache_is_accepted_only_where_that_is_switched_on(
    better_auth: BetterAuth, settings: Settings
) -> None:
    issuer = await better_auth(options=COOKIE_CACHE, plugins={})
    account = await issuer.sign_up()
    token = account.cookie("session_data")
    claims = jwt.decode(token, issuer.secret, algorithms=["HS256"])
    assert claims["user"]["id"] == claims["session"]["userId"] == account.id
    assert "sub" not in claims
    async with api(settings, better_auth_secret=issuer.secret) as client:
        await assert_refused(client, token)
    async with api(settings, better_auth_secret=issuer.secret, accept_session_jwt=True) as client:
        await assert_accepted(client, token, account)
        profile = (await client.get("/api/me", headers={"Authorization": f"Bearer {token}"})).json()
        await assert_refused(client, account.cookie("session_token"))
    assert (profile["email"], profile["name"]) == (account.email, account.name)


@pytest.mark.parametrize("strategy", ["compact", "jwe"])
async def test_the_other_cookie_caches_are_refused(better_auth: BetterAuth, settings: Settings, strategy: str) -> None:
    cache = {"session": {"cookieCache": {"enabled": True, "strategy": strategy}}}
    issuer = await better_auth(options=cache, plugins={})
    account = await issuer.sign_up()
    async with api(settings, better_auth_secret=issuer.secret, accept_session_jwt=True) as client:
        await assert_refused(client, account.cookie("session_data"))
        await assert_accepted(client, await issuer.bridge_token(sub=account.id), account)


@pytest.mark.parametrize("accepting", [False, True])
async def test_the_cookie_cache_signed_by_the_jwt_plugin_is_refused(
    better_auth: BetterAuth, settings: Settings, accepting: bool
) -> None:
    issuer = await better_auth(options=COOKIE_CACHE, plugins={"jwt": {"sessionCookieCache": True}})
    account = await issuer.sign_up()
    token = account.cookie("session_data")
    assert claims_of(token)["sub"] == account.id
    assert jwt.get_unverified_header(token)["typ"] == "better-auth.session-cache+jwt"
    sources = {"better_auth_url": issuer.origin, "better_auth_secret": issuer.secret}
    async with api(settings, **sources, accept_session_jwt=accepting) as client:
        await assert_refused(client, token)
        await assert_accepted(client, await account.jwt(), account)
    async with api(settings, **sources, jwt_audience=(claims_of(token)["aud"],)) as client:
        await assert_refused(client, token)

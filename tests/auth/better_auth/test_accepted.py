"""Every legitimate access token of a Better Auth server works with the documented settings and nothing else."""

from typing import Any

import jwt
import pytest

from app.settings import Settings
from tests.auth.better_auth.conftest import BetterAuth, api, assert_accepted, assert_refused, claims_of


async def test_the_default_token_is_accepted_with_better_auth_url_alone(
    better_auth: BetterAuth, settings: Settings
) -> None:
    issuer = await better_auth()
    account = await issuer.sign_up()
    token = await account.jwt()
    async with api(settings, better_auth_url=issuer.origin) as client:
        await assert_accepted(client, token, account)
        profile = (await client.get("/api/me", headers={"Authorization": f"Bearer {token}"})).json()
    assert (profile["id"], profile["email"], profile["name"]) == (account.id, account.email, account.name)
    assert profile["counts"]["total"] == 1


async def test_the_default_token_is_what_the_documentation_says(better_auth: BetterAuth) -> None:
    issuer = await better_auth()
    account = await issuer.sign_up()
    token = await account.jwt()
    (key,) = await issuer.keys()
    assert jwt.get_unverified_header(token) == {"alg": "EdDSA", "kid": key["kid"]}
    claims = jwt.decode(token, jwt.PyJWK(key), audience=issuer.origin, issuer=issuer.origin)
    assert (claims["sub"], claims["id"], claims["email"]) == (account.id, account.id, account.email)
    assert claims["exp"] - claims["iat"] == 15 * 60
    assert set(key) == {"alg", "crv", "x", "kty", "kid"}


async def test_the_token_of_a_server_without_a_database_is_accepted(
    better_auth: BetterAuth, settings: Settings
) -> None:
    issuer = await better_auth(database=None)
    account = await issuer.sign_up()
    async with api(settings, better_auth_url=issuer.origin, better_auth_secret=issuer.secret) as client:
        await assert_accepted(client, await account.jwt(), account)
        await assert_refused(client, account.cookie("session_data"))


@pytest.mark.parametrize("algorithm", ["EdDSA", "Ed25519", "ES256", "ES384", "ES512", "RS256", "RS512", "PS256"])
async def test_each_algorithm_is_accepted(better_auth: BetterAuth, settings: Settings, algorithm: str) -> None:
    issuer = await better_auth(plugins={"jwt": {"jwks": {"keyPairConfig": {"alg": algorithm}}}})
    account = await issuer.sign_up()
    token = await account.jwt()
    assert jwt.get_unverified_header(token)["alg"] == algorithm
    async with api(settings, better_auth_url=issuer.origin) as client:
        await assert_accepted(client, token, account)


async def test_a_custom_issuer_and_audience_are_accepted_where_configured_and_only_there(
    better_auth: BetterAuth, settings: Settings
) -> None:
    issuer = await better_auth(plugins={"jwt": {"jwt": {"issuer": "https://id.example.org", "audience": "tasks"}}})
    account = await issuer.sign_up()
    token = await account.jwt()
    named: dict[str, Any] = {"jwt_issuer": "https://id.example.org", "jwt_audience": ("tasks",)}
    async with api(settings, better_auth_url=issuer.origin, **named) as client:
        await assert_accepted(client, token, account)
    for wrong in (
        {},
        {"jwt_issuer": named["jwt_issuer"]},
        {"jwt_audience": named["jwt_audience"]},
        {**named, "jwt_audience": ("task",)},
        {**named, "jwt_issuer": "https://id.example.org/"},
    ):
        async with api(settings, better_auth_url=issuer.origin, **wrong) as client:
            await assert_refused(client, token)


async def test_a_list_of_audiences_is_accepted_when_it_names_one_of_ours(
    better_auth: BetterAuth, settings: Settings
) -> None:
    issuer = await better_auth(plugins={"jwt": {"jwt": {"audience": ["billing", "tasks"]}}})
    account = await issuer.sign_up()
    token = await account.jwt()
    for ours, accepted in (("tasks",), True), (("web", "billing"), True), (("web",), False), ((), False):
        async with api(settings, better_auth_url=issuer.origin, jwt_audience=ours) as client:
            if accepted:
                await assert_accepted(client, token, account)
            else:
                await assert_refused(client, token)


async def test_claims_of_a_custom_payload_change_nothing(better_auth: BetterAuth, settings: Settings) -> None:
    payload = {"role": "teacher", "type": "teacher", "permissions": {"tasks": ["read"]}, "aud": ["tasks"]}
    issuer = await better_auth(plugins={"jwt": {"payload": payload}})
    account = await issuer.sign_up()
    token = await account.jwt()
    assert claims_of(token).items() > {**payload, "sub": account.id}.items()
    async with api(settings, better_auth_url=issuer.origin, jwt_audience=("tasks",)) as client:
        await assert_accepted(client, token, account)


async def test_a_column_type_that_a_project_adds_to_its_users_changes_nothing(
    better_auth: BetterAuth, settings: Settings
) -> None:
    extra = {"type": {"type": "string", "required": False, "input": False, "defaultValue": "student"}}
    issuer = await better_auth(options={"user": {"additionalFields": extra}})
    account = await issuer.sign_up()
    token = await account.jwt()
    assert claims_of(token)["type"] == "student"
    async with api(settings, better_auth_url=issuer.origin) as client:
        await assert_accepted(client, token, account)


async def test_several_keys_are_accepted_side_by_side(better_auth: BetterAuth, settings: Settings) -> None:
    issuer = await better_auth()
    account = await issuer.sign_up()
    tokens = [await account.jwt()]
    for _ in range(3):
        await issuer.expire_keys(1)
        tokens.append(await account.jwt())
    ids = [jwt.get_unverified_header(token)["kid"] for token in tokens]
    assert len(set(ids)) == 4
    assert sorted(ids) == sorted(key["kid"] for key in await issuer.keys())
    async with api(settings, better_auth_url=issuer.origin) as client:
        for token in tokens:
            await assert_accepted(client, token, account)


async def test_keys_are_found_where_a_custom_path_puts_them(better_auth: BetterAuth, settings: Settings) -> None:
    issuer = await better_auth(
        options={"basePath": "/custom/auth"}, plugins={"jwt": {"jwks": {"jwksPath": "/.well-known/jwks.json"}}}
    )
    account = await issuer.sign_up()
    token = await account.jwt()
    keys = f"{issuer.url}/.well-known/jwks.json"
    async with api(settings, better_auth_url=issuer.origin, jwks_url=keys) as client:
        await assert_accepted(client, token, account)
    async with api(settings, jwks_url=keys, jwt_issuer=issuer.origin, jwt_audience=(issuer.origin,)) as client:
        await assert_accepted(client, token, account)


async def test_bridge_tokens_and_asymmetric_tokens_are_accepted_side_by_side(
    better_auth: BetterAuth, settings: Settings
) -> None:
    issuer = await better_auth()
    account = await issuer.sign_up()
    async with api(settings, better_auth_url=issuer.origin, better_auth_secret=issuer.secret) as client:
        await assert_accepted(client, await account.jwt(), account)
        await assert_accepted(client, await issuer.bridge_token(sub=account.id), account)
        await assert_accepted(client, await issuer.bridge_token({"typ": "JWT"}, sub=account.id), account)
        issued = await issuer.bridge_token(sub=account.id, iss=issuer.origin, aud=issuer.origin)
        await assert_accepted(client, issued, account)


async def test_tokens_of_another_better_auth_server_are_refused(better_auth: BetterAuth, settings: Settings) -> None:
    issuer, stranger = await better_auth(), await better_auth()
    account = await stranger.sign_up()
    token = await account.jwt()
    async with api(settings, better_auth_url=issuer.origin) as client:
        await assert_refused(client, token)
    async with api(settings, better_auth_url=stranger.origin) as client:
        await assert_accepted(client, token, account)

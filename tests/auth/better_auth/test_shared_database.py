"""Better Auth's own tables beside ours: keys without HTTP, and users who are banned or gone."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import jwt
import pytest

from app.settings import Settings
from tests.auth.better_auth.conftest import BetterAuth, Clock, api, assert_accepted, assert_refused
from tests.auth.better_auth.issuer import PASSWORD

CHECK_SECONDS = 60
"""How long a deleted or banned user may stay unnoticed, as documented."""

SNAKE_CASE: dict[str, Any] = {
    "jwt": {
        "schema": {
            "jwks": {
                "fields": {
                    "publicKey": "public_key",
                    "privateKey": "private_key",
                    "createdAt": "created_at",
                    "expiresAt": "expires_at",
                }
            }
        }
    },
    "admin": {"schema": {"user": {"fields": {"banReason": "ban_reason", "banExpires": "ban_expires"}}}},
}

Shared = tuple[Settings, dict[str, Any]]


@pytest.fixture
async def owner(shared: Shared) -> AsyncIterator[asyncpg.Connection]:
    """Changes Better Auth's tables behind everybody's back."""
    connection = await asyncpg.connect(shared[0].database_url)
    yield connection
    await connection.close()


@pytest.mark.parametrize("plugins", [{"jwt": {}}, SNAKE_CASE], ids=["camelCase", "snake_case"])
async def test_keys_come_from_the_table_without_any_request_to_the_issuer(
    better_auth: BetterAuth, shared: Shared, owner: asyncpg.Connection, plugins: dict[str, Any]
) -> None:
    settings, database = shared
    issuer = await better_auth(database=database, plugins=plugins)
    account = await issuer.sign_up()
    token = await account.jwt()
    await issuer.stop()
    columns = set((await owner.fetchrow("SELECT * FROM jwks")).keys())
    assert ("public_key" if plugins is SNAKE_CASE else "publicKey") in columns
    async with api(settings, better_auth_url=issuer.origin, jwks_source="database") as client:
        await assert_accepted(client, token, account)


@pytest.mark.parametrize("algorithm", ["ES256", "ES512", "RS256", "PS256"])
async def test_keys_of_each_algorithm_come_from_the_table(
    better_auth: BetterAuth, shared: Shared, algorithm: str
) -> None:
    settings, database = shared
    issuer = await better_auth(database=database, plugins={"jwt": {"jwks": {"keyPairConfig": {"alg": algorithm}}}})
    account = await issuer.sign_up()
    async with api(settings, better_auth_url=issuer.origin, jwks_source="database") as client:
        await assert_accepted(client, await account.jwt(), account)


async def test_keys_of_two_algorithms_are_accepted_side_by_side_after_a_change_of_algorithm(
    better_auth: BetterAuth, shared: Shared
) -> None:
    settings, database = shared
    before = await better_auth(database=database)
    account = await before.sign_up()
    old = await account.jwt()
    await before.stop()
    after = await better_auth(
        port=before.port,
        database=database,
        options={"secret": before.secret},
        plugins={"jwt": {"jwks": {"keyPairConfig": {"alg": "ES256"}}}},
    )
    newcomer = await after.sign_up()
    await after.expire_keys(1)
    new = await newcomer.jwt()
    assert [jwt.get_unverified_header(token)["alg"] for token in (old, new)] == ["EdDSA", "ES256"]
    for source in "url", "database":
        async with api(settings, better_auth_url=after.origin, jwks_source=source) as client:
            await assert_accepted(client, old, account)
            await assert_accepted(client, new, newcomer)


async def test_numbers_as_ids_of_users_and_keys_are_accepted(better_auth: BetterAuth, shared: Shared) -> None:
    settings, database = shared
    issuer = await better_auth(database=database, options={"advanced": {"database": {"generateId": "serial"}}})
    account = await issuer.sign_up()
    token = await account.jwt()
    assert (account.id, jwt.get_unverified_header(token)["kid"]) == ("1", "1")
    for source in "url", "database":
        async with api(settings, better_auth_url=issuer.origin, jwks_source=source) as client:
            await assert_accepted(client, token, account)


async def test_uuids_as_ids_are_accepted(better_auth: BetterAuth, shared: Shared) -> None:
    settings, database = shared
    issuer = await better_auth(database=database, options={"advanced": {"database": {"generateId": "uuid"}}})
    account = await issuer.sign_up()
    async with api(settings, better_auth_url=issuer.origin, jwks_source="database", check_user=True) as client:
        await assert_accepted(client, await account.jwt(), account)


async def test_a_key_past_its_grace_period_in_the_table_is_refused(
    better_auth: BetterAuth, shared: Shared, clock: Clock
) -> None:
    settings, database = shared
    issuer = await better_auth(database=database, plugins={"jwt": {"jwks": {"rotationInterval": 3600}}})
    account = await issuer.sign_up()
    old = await account.jwt()
    async with api(settings, better_auth_url=issuer.origin, jwks_source="database") as client:
        await assert_accepted(client, old, account)
        await issuer.expire_keys(60)
        new = await account.jwt()
        clock.advance(300)
        for token in old, new:
            await assert_accepted(client, token, account)
        await issuer.expire_keys(31 * 24 * 3600)
        clock.advance(300)
        for token in old, new:
            await assert_refused(client, token)


@pytest.mark.parametrize(
    ("plugins", "banned"),
    [
        ({"jwt": {}}, 'DELETE FROM "user" WHERE id = $1'),
        ({"jwt": {}, "admin": {}}, 'DELETE FROM "user" WHERE id = $1'),
        ({"jwt": {}, "admin": {}}, 'UPDATE "user" SET banned = true WHERE id = $1'),
        (
            {"jwt": {}, "admin": {}},
            """UPDATE "user" SET banned = true, "banExpires" = now() + interval '1 day' WHERE id = $1""",
        ),
        (SNAKE_CASE, 'UPDATE "user" SET banned = true WHERE id = $1'),
        (
            SNAKE_CASE,
            """UPDATE "user" SET banned = true, ban_expires = now() + interval '1 day' WHERE id = $1""",
        ),
    ],
    ids=[
        "deleted",
        "deleted with admin()",
        "banned",
        "banned for a day",
        "banned, snake_case",
        "for a day, snake_case",
    ],
)
async def test_a_user_who_is_gone_or_banned_is_refused_within_a_minute(
    better_auth: BetterAuth,
    shared: Shared,
    owner: asyncpg.Connection,
    clock: Clock,
    plugins: dict[str, Any],
    banned: str,
) -> None:
    settings, database = shared
    issuer = await better_auth(database=database, plugins=plugins)
    account, neighbour = await issuer.sign_up(), await issuer.sign_up()
    token, other = await account.jwt(), await neighbour.jwt()
    async with (
        api(settings, better_auth_url=issuer.origin, check_user=True) as checking,
        api(settings, better_auth_url=issuer.origin) as trusting,
    ):
        for client in checking, trusting:
            await assert_accepted(client, token, account)
            await assert_accepted(client, other, neighbour)
        await owner.execute(banned, account.id)
        clock.advance(CHECK_SECONDS)
        await assert_refused(checking, token)
        await assert_accepted(checking, other, neighbour)
        await assert_accepted(trusting, token, account)


async def test_a_ban_that_is_over_or_lifted_refuses_nobody(
    better_auth: BetterAuth, shared: Shared, owner: asyncpg.Connection, clock: Clock
) -> None:
    settings, database = shared
    issuer = await better_auth(database=database, plugins={"jwt": {}, "admin": {}})
    account = await issuer.sign_up()
    token = await account.jwt()
    async with api(settings, better_auth_url=issuer.origin, check_user=True) as client:
        await owner.execute('UPDATE "user" SET banned = true WHERE id = $1', account.id)
        await assert_refused(client, token)
        await owner.execute(
            """UPDATE "user" SET "banExpires" = now() - interval '1 minute' WHERE id = $1""", account.id
        )
        clock.advance(CHECK_SECONDS)
        await assert_accepted(client, token, account)
        await owner.execute('UPDATE "user" SET banned = false, "banExpires" = NULL WHERE id = $1', account.id)
        clock.advance(CHECK_SECONDS)
        await assert_accepted(client, token, account)


async def test_bridge_tokens_of_users_who_are_gone_are_refused_too(
    better_auth: BetterAuth, shared: Shared, owner: asyncpg.Connection, clock: Clock
) -> None:
    settings, database = shared
    issuer = await better_auth(database=database)
    account = await issuer.sign_up()
    token = await issuer.bridge_token(sub=account.id)
    async with api(settings, better_auth_secret=issuer.secret, check_user=True) as client:
        await assert_accepted(client, token, account)
        await owner.execute('DELETE FROM "user" WHERE id = $1', account.id)
        clock.advance(CHECK_SECONDS)
        await assert_refused(client, token)


async def test_an_account_deleted_through_better_auth_is_refused_within_a_minute(
    better_auth: BetterAuth, shared: Shared, clock: Clock
) -> None:
    settings, database = shared
    issuer = await better_auth(database=database)
    account = await issuer.sign_up()
    token = await account.jwt()
    async with api(settings, better_auth_url=issuer.origin, check_user=True) as client:
        await assert_accepted(client, token, account)
        (await account.browser.post("delete-user", json={"password": PASSWORD})).raise_for_status()
        clock.advance(CHECK_SECONDS)
        await assert_refused(client, token)


async def test_signing_out_leaves_a_token_valid_until_it_expires(
    better_auth: BetterAuth, shared: Shared, clock: Clock
) -> None:
    settings, database = shared
    issuer = await better_auth(database=database)
    account = await issuer.sign_up()
    token = await account.jwt()
    (await account.browser.post("sign-out")).raise_for_status()
    assert (await account.browser.get("token")).status_code == 401
    async with api(settings, better_auth_url=issuer.origin, check_user=True) as client:
        clock.advance(14 * 60)
        await assert_accepted(client, token, account)
        clock.advance(61)
        await assert_refused(client, token)

"""Keys come and go at the issuer; tokens that are good stay good."""

import jwt

from app.auth.key_set import COOLDOWN_SECONDS, TTL_SECONDS
from app.settings import Settings
from tests.auth.better_auth.conftest import BetterAuth, Clock, api, assert_accepted, assert_refused

ROTATING = {"jwks": {"rotationInterval": 3600, "gracePeriod": 3600}}


def key_id(token: str) -> str:
    kid: str = jwt.get_unverified_header(token)["kid"]
    return kid


async def test_after_a_rotation_new_and_old_tokens_are_accepted_until_the_old_key_is_withdrawn(
    better_auth: BetterAuth, settings: Settings, clock: Clock
) -> None:
    issuer = await better_auth(plugins={"jwt": ROTATING})
    account = await issuer.sign_up()
    old = await account.jwt()
    async with api(settings, better_auth_url=issuer.origin) as client:
        await assert_accepted(client, old, account)
        await issuer.expire_keys(1)
        new = await account.jwt()
        assert key_id(new) != key_id(old)
        clock.advance(COOLDOWN_SECONDS)
        await assert_accepted(client, new, account)
        clock.advance(TTL_SECONDS)
        for token in old, new:
            await assert_accepted(client, token, account)
        await issuer.expire_keys(3601)
        newest = await account.jwt()
        assert [key["kid"] for key in await issuer.keys()] == [key_id(newest)]
        clock.advance(TTL_SECONDS)
        await assert_accepted(client, newest, account)
        for token in old, new:
            await assert_refused(client, token)


async def test_a_rotation_right_after_the_keys_were_fetched_refuses_no_token(
    better_auth: BetterAuth, settings: Settings
) -> None:
    issuer = await better_auth(plugins={"jwt": ROTATING})
    account = await issuer.sign_up()
    async with api(settings, better_auth_url=issuer.origin) as client:
        await assert_accepted(client, await account.jwt(), account)
        await issuer.expire_keys(1)
        await assert_accepted(client, await account.jwt(), account)

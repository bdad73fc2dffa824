"""Keys come and go at the issuer, and the issuer itself does; tokens that are good stay good."""

import jwt

from app.auth.key_set import COOLDOWN_SECONDS, KEEP_SECONDS, TTL_SECONDS
from app.settings import Settings
from tests.auth.better_auth.conftest import BetterAuth, Clock, api, ask, assert_accepted, assert_refused

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


async def test_with_the_issuer_down_and_no_keys_the_answer_is_503(better_auth: BetterAuth, settings: Settings) -> None:
    issuer = await better_auth()
    account = await issuer.sign_up()
    token = await account.jwt()
    bridge = await issuer.bridge_token(sub=account.id)
    await issuer.stop()
    async with api(settings, better_auth_url=issuer.origin, better_auth_secret=issuer.secret) as client:
        response = await ask(client, token)
        assert (response.status_code, response.json()["code"]) == (503, "issuer_unavailable")
        assert int(response.headers["Retry-After"]) > 0
        await assert_accepted(client, bridge, account)
        await assert_refused(client, token.rpartition(".")[0])


async def test_keys_that_were_seen_outlive_an_issuer_that_is_down_for_an_hour(
    better_auth: BetterAuth, settings: Settings, clock: Clock
) -> None:
    issuer = await better_auth(plugins={"jwt": {"jwt": {"expirationTime": "3h"}}})
    account = await issuer.sign_up()
    token = await account.jwt()
    async with api(settings, better_auth_url=issuer.origin) as client:
        await assert_accepted(client, token, account)
        await issuer.stop()
        for seconds in TTL_SECONDS, KEEP_SECONDS - TTL_SECONDS - 60:
            clock.advance(seconds)
            await assert_accepted(client, token, account)
        clock.advance(120)
        assert (await ask(client, token)).status_code == 503


async def test_an_issuer_that_comes_back_with_new_keys_is_believed(
    better_auth: BetterAuth, settings: Settings, clock: Clock
) -> None:
    issuer = await better_auth()
    account = await issuer.sign_up()
    before = await account.jwt()
    async with api(settings, better_auth_url=issuer.origin) as client:
        await assert_accepted(client, before, account)
        await issuer.stop()
        clock.advance(TTL_SECONDS)
        await assert_accepted(client, before, account)
        successor = await better_auth(port=issuer.port)
        returned = await successor.sign_up()
        after = await returned.jwt()
        clock.advance(COOLDOWN_SECONDS)
        await assert_accepted(client, after, returned)
        await assert_refused(client, before)


async def test_unknown_keys_are_refused_without_harm_to_known_ones(better_auth: BetterAuth, settings: Settings) -> None:
    issuer, stranger = await better_auth(), await better_auth()
    account, visitor = await issuer.sign_up(), await stranger.sign_up()
    token, foreign = await account.jwt(), await visitor.jwt()
    async with api(settings, better_auth_url=issuer.origin) as client:
        for _ in range(3):
            await assert_refused(client, foreign)
        await assert_accepted(client, token, account)

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from app.auth import key_set
from app.auth.tokens import TokenVerifier
from app.settings import Settings
from tests.auth.attacks import BRIDGE, ORIGIN, SECRET, access, bridge
from tests.auth.conftest import accepts, cannot_tell, fresh, new_key
from tests.auth.issuer import Issuer, SigningKey
from tests.conftest import running

TASKS = "/api/me/tasks"
UNKNOWN_KEY_IDS = int(os.environ.get("UNKNOWN_KEY_IDS", "2000"))


class Clock:
    """The key set's time, which stands still until it is told; the event loop keeps its own."""

    def __init__(self) -> None:
        self._now = 1000.0

    def monotonic(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(key_set, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


async def test_nothing_is_fetched_until_a_token_needs_a_key(settings: Settings, issuer: Issuer) -> None:
    configured = replace(
        settings, better_auth_secret=SECRET, better_auth_url=ORIGIN, jwks_url=f"{issuer.url}/api/auth/jwks"
    )
    async with running(configured) as app:
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # Litestar's scopes are TypedDicts
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            for path in ("/", "/health", "/ready", "/openapi.json", TASKS):
                await client.get(path)
            own = {"Authorization": f"Bearer {BRIDGE.token(bridge())}"}
            assert (await client.get(TASKS, headers=own)).status_code == 200
    assert issuer.fetches == 0


@pytest.mark.parametrize(
    "header",
    [
        {"kid": ...},
        {"kid": ""},
        {"kid": 1},
        {"kid": None},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "ES256K"},
        {"crit": ["b64"]},
        {"typ": "JWE"},
    ],
    ids=str,
)
async def test_what_needs_no_key_to_be_refused_is_refused_without_asking(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, header: dict[str, Any]
) -> None:
    assert not await accepts(verifier, key.token(access(), **header))
    assert issuer.fetches == 0


async def test_many_at_once_share_the_first_fetch(verifier: TokenVerifier, issuer: Issuer, key: SigningKey) -> None:
    assert all(await asyncio.gather(*(accepts(verifier, fresh(key)) for _ in range(200))))
    assert issuer.asked == ["/api/auth/jwks"]
    assert verifier.key_fetches == {"ok": 1, "failed": 0}


async def test_who_gives_up_waiting_takes_the_fetch_from_nobody_else(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey
) -> None:
    issuer.gate.clear()
    impatient = asyncio.create_task(accepts(verifier, fresh(key)))
    patient = asyncio.create_task(accepts(verifier, fresh(key)))
    await issuer.was_asked.wait()
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    issuer.gate.set()
    assert await patient
    assert issuer.fetches == 1


async def test_keys_are_fetched_again_after_five_minutes_and_not_before(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, clock: Clock
) -> None:
    for ahead, fetches in [(0, 1), (299, 1), (1, 2), (299, 2), (1, 3)]:
        clock.advance(ahead)
        assert await accepts(verifier, fresh(key))
        assert issuer.fetches == fetches


async def test_unknown_key_ids_cost_one_fetch_per_cooldown_however_many_there_are(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, clock: Clock
) -> None:
    assert await accepts(verifier, fresh(key))
    for fetches in (2, 3):
        for _ in range(UNKNOWN_KEY_IDS // 100):
            unknown = [key.token(access(), kid=secrets.token_hex(8)) for _ in range(100)]
            answers = await asyncio.gather(*(accepts(verifier, token) for token in [*unknown, fresh(key)]))
            assert answers == [False] * 100 + [True]
        assert issuer.fetches == fetches
        clock.advance(key_set.COOLDOWN_SECONDS)


async def test_unknown_key_ids_do_not_multiply_fetches_while_the_issuer_is_down(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, clock: Clock
) -> None:
    issuer.status = 500
    for fetches in (1, 2):
        for _ in range(3):
            assert all(await asyncio.gather(*(cannot_tell(verifier, fresh(new_key())) for _ in range(50))))
            assert await cannot_tell(verifier, fresh(key))
        assert issuer.fetches == fetches
        clock.advance(key_set.COOLDOWN_SECONDS)


async def test_a_user_with_a_known_key_does_not_wait_for_the_search_for_an_unknown_one(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey
) -> None:
    assert await accepts(verifier, fresh(key))
    issuer.was_asked.clear()
    issuer.gate.clear()
    searching = asyncio.create_task(accepts(verifier, fresh(new_key())))
    await issuer.was_asked.wait()
    assert await accepts(verifier, fresh(key))
    assert not searching.done()
    issuer.gate.set()
    assert not await searching


async def test_a_new_key_is_accepted_at_once(verifier: TokenVerifier, issuer: Issuer, key: SigningKey) -> None:
    assert await accepts(verifier, fresh(key))
    new = new_key()
    issuer.publish(key, new)
    assert all(await asyncio.gather(*(accepts(verifier, fresh(new)) for _ in range(20))))
    assert await accepts(verifier, fresh(key))
    assert issuer.fetches == 2


async def test_a_key_that_appears_right_after_a_search_is_accepted_after_the_cooldown(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, clock: Clock
) -> None:
    assert await accepts(verifier, fresh(key))
    assert not await accepts(verifier, fresh(new_key()))
    new = new_key()
    issuer.publish(key, new)
    clock.advance(key_set.COOLDOWN_SECONDS)
    assert await accepts(verifier, fresh(new))


async def test_a_removed_key_is_gone_with_the_next_fetch_and_takes_remembered_tokens_along(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, clock: Clock
) -> None:
    staying = new_key()
    issuer.publish(key, staying)
    remembered, kept = fresh(key), fresh(staying)
    caller = await verifier.verify(remembered)
    keeps = await verifier.verify(kept)
    assert await verifier.verify(remembered) is caller
    issuer.publish(staying)
    clock.advance(key_set.TTL_SECONDS)
    assert await accepts(verifier, fresh(staying))
    assert not await accepts(verifier, remembered)
    assert not await accepts(verifier, fresh(key))
    assert await verifier.verify(kept) is keeps


async def test_another_key_under_the_same_id_ends_what_the_first_one_opened(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, clock: Clock
) -> None:
    remembered = fresh(key)
    assert await accepts(verifier, remembered)
    other = SigningKey.make("EdDSA", key.key_id)
    issuer.publish(other)
    clock.advance(key_set.TTL_SECONDS)
    assert await accepts(verifier, fresh(other))
    assert not await accepts(verifier, remembered)


async def test_keys_outlive_an_issuer_that_is_down_by_an_hour(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, clock: Clock
) -> None:
    remembered = fresh(key)
    assert await accepts(verifier, remembered)
    await issuer.stop()
    for ahead in (310, 10, 10, 1200, 1200, 869):
        clock.advance(ahead)
        assert await accepts(verifier, fresh(key))
        assert await accepts(verifier, remembered)
        assert await cannot_tell(verifier, fresh(new_key()))
    clock.advance(1)
    assert await cannot_tell(verifier, fresh(key))
    assert await cannot_tell(verifier, remembered)


async def test_users_do_not_wait_for_an_issuer_known_to_be_down_while_their_keys_are_kept(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, clock: Clock
) -> None:
    assert await accepts(verifier, fresh(key))
    await issuer.stop()
    clock.advance(key_set.TTL_SECONDS)
    assert await accepts(verifier, fresh(key))
    await issuer.start()
    issuer.was_asked.clear()
    issuer.gate.clear()
    clock.advance(key_set.COOLDOWN_SECONDS)
    async with asyncio.timeout(0.8 * key_set.TIMEOUT_SECONDS):
        assert all([await accepts(verifier, fresh(key)) for _ in range(20)])
        await issuer.was_asked.wait()
    issuer.gate.set()


async def test_an_issuer_that_comes_back_is_asked_again_after_the_cooldown(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, clock: Clock
) -> None:
    await issuer.stop()
    assert await cannot_tell(verifier, fresh(key))
    await issuer.start()
    clock.advance(key_set.COOLDOWN_SECONDS)
    assert await accepts(verifier, fresh(key))
    assert verifier.key_fetches == {"ok": 1, "failed": 1}


async def test_an_issuer_that_comes_back_with_new_keys_is_believed(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, clock: Clock
) -> None:
    assert await accepts(verifier, fresh(key))
    await issuer.stop()
    clock.advance(key_set.TTL_SECONDS)
    new = new_key()
    assert await cannot_tell(verifier, fresh(new))
    await issuer.start()
    issuer.publish(new)
    clock.advance(key_set.COOLDOWN_SECONDS)
    assert await accepts(verifier, fresh(new))
    assert not await accepts(verifier, fresh(key))


@pytest.fixture
async def client(settings: Settings, issuer: Issuer) -> AsyncIterator[httpx.AsyncClient]:
    configured = replace(settings, better_auth_secret=SECRET, better_auth_url=ORIGIN, jwks_url=issuer.url)
    async with running(configured) as app:
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # Litestar's scopes are TypedDicts
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def assert_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503
    assert answer.json()["code"] == "issuer_unavailable"
    assert int(answer.headers["Retry-After"]) > 0
    assert "www-authenticate" not in answer.headers


async def test_without_an_issuer_the_answer_is_503_and_shared_secrets_go_on_working(
    client: httpx.AsyncClient, issuer: Issuer, key: SigningKey, capsys: pytest.CaptureFixture[str]
) -> None:
    await issuer.stop()
    assert_unavailable(await client.get(TASKS, headers=bearer(fresh(key))))
    assert (await client.get(TASKS, headers=bearer(BRIDGE.token(bridge())))).status_code == 200
    assert "Traceback" not in "".join(capsys.readouterr())


async def test_an_issuer_that_hangs_costs_nobody_more_than_five_seconds(
    client: httpx.AsyncClient, issuer: Issuer, key: SigningKey
) -> None:
    issuer.gate.clear()
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*(client.get(TASKS, headers=bearer(fresh(key))) for _ in range(20)))
    for answer in answers:
        assert_unavailable(answer)
    assert issuer.fetches == 1


async def test_a_bad_answer_leaves_the_old_keys(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, clock: Clock
) -> None:
    remembered = fresh(key)
    assert await accepts(verifier, remembered)
    for status, body in [(500, None), (200, b"<!doctype html>"), (200, b'{"keys": ' + b"[" * 30_000)]:
        issuer.status, issuer.body = status, body
        clock.advance(key_set.TTL_SECONDS)
        assert await accepts(verifier, fresh(key))
        assert await accepts(verifier, remembered)
        assert await cannot_tell(verifier, fresh(new_key()))


async def test_an_empty_set_means_that_there_are_no_keys(
    verifier: TokenVerifier, issuer: Issuer, key: SigningKey, clock: Clock
) -> None:
    assert await accepts(verifier, fresh(key))
    issuer.publish()
    clock.advance(key_set.TTL_SECONDS)
    assert not await accepts(verifier, fresh(key))

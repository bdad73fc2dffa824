"""Limits that a Redis server counts for all workers: exactly, and never in the way of requests when it is gone."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import httpx
import pytest

from app.auth.mint import mint
from app.quotas import Limit
from app.ratelimit import shared
from app.ratelimit.shared import SharedCounts
from app.settings import Settings
from tests.conftest import SENSITIVE, random_user, running
from tests.processes import Server, copied_project
from tests.ratelimit import redis
from tests.ratelimit.redis import Redis

AT_ONCE: Final = 500
LIMIT: Final = 100
TRIES: Final = 5
"""A round says nothing about 50 ms on a machine that is busy with something else."""

LONGEST: Final = 0.05
WORKERS: Final = 4
TASKS: Final = "/api/me/tasks"
AWAY: Final = "rate limits are not counted"
BACK: Final = "rate limits are counted again"

pytestmark = pytest.mark.skipif(redis.PROGRAM is None, reason=redis.MISSING)


@pytest.fixture
def counting() -> Iterator[Redis]:
    with redis.running() as server:
        yield server


@pytest.fixture
def folder() -> Iterator[Path]:
    with copied_project() as folder:
        yield folder


@pytest.fixture
async def counts(counting: Redis, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SharedCounts]:
    """Patient ones, so that a busy machine does not matter."""
    monkeypatch.setattr(shared, "LOOK_SECONDS", 5)
    counts = SharedCounts(counting.url.replace("redis://", "valkey://"))
    await counts.open()
    yield counts
    await counts.close()


def patient(folder: Path) -> None:
    """Let a copy of the project wait for its server as long as it takes, so that a busy machine does not matter."""
    file = folder / "app" / "ratelimit" / "shared.py"
    text = file.read_text()
    file.write_text(text.replace(f"LOOKS: Final = {shared.LOOKS}\n", "LOOKS: Final = 2000\n"))
    assert file.read_text() != text


def serving(folder: Path, settings: Settings, counting: Redis, workers: int) -> Server:
    return Server(
        folder,
        workers=workers,
        DATABASE_URL=settings.database_url,
        DATABASE_POOL_SIZE="5",
        DATABASE_WAITING_PER_USER=str(AT_ONCE),  # one worker may get most of them, and refuse some for that
        BETTER_AUTH_SECRET=settings.better_auth_secret,
        RATE_LIMIT=f"{LIMIT}/minute",
        RATE_LIMIT_WRITES="off",
        RATE_LIMIT_URL=counting.url,
    ).serving()


def client_for(server: Server, settings: Settings) -> httpx.AsyncClient:
    token = mint(settings, random_user(), 3600)
    SENSITIVE.add(token)
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=0)  # each may reach another worker
    return httpx.AsyncClient(
        base_url=server.url, headers={"Authorization": f"Bearer {token}"}, limits=limits, timeout=30
    )


def logged(server: Server, event: str) -> list[str]:
    return [line for line in server.output.splitlines() if event in line]


async def test_four_workers_serve_exactly_as_many_as_the_limit(
    folder: Path, settings: Settings, counting: Redis
) -> None:
    patient(folder)
    server = await asyncio.to_thread(serving, folder, settings, counting, WORKERS)
    async with client_for(server, settings) as client:
        answers = await asyncio.gather(*(client.get(TASKS) for _ in range(AT_ONCE)))
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(200) == LIMIT
    assert statuses.count(429) == AT_ONCE - LIMIT
    left = {int(answer.headers["ratelimit"].split(";")[1][2:]) for answer in answers if answer.is_success}
    assert min(left) == 0
    assert max(left) < LIMIT
    assert all(1 <= int(answer.headers["retry-after"]) <= 61 for answer in answers if answer.is_error)
    assert not logged(server, AWAY)


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_without_the_server_requests_are_served_at_once_and_a_warning_is_logged_once(
    folder: Path, settings: Settings, counting: Redis, how: str
) -> None:
    server = await asyncio.to_thread(serving, folder, settings, counting, 1)
    for _ in range(TRIES):
        usual = await slowest(server, settings, 50)
        getattr(counting, how)()
        first = await slowest(server, settings, LIMIT + 50)
        await asyncio.sleep(shared.PAUSE)
        second = await slowest(server, settings, 20)
        await asyncio.to_thread(counting.proceed if how == "stop" else counting.start)
        assert await is_counted_again(server, settings)
        if max(first, second) < LONGEST + usual:
            break
    assert max(first, second) < LONGEST + usual
    [warning] = logged(server, AWAY)
    assert json.loads(warning)["level"] == "warning"
    for _ in range(TRIES):
        async with client_for(server, settings) as client:
            statuses = [(await client.get(TASKS)).status_code for _ in range(LIMIT + 50)]
        if 429 in statuses:
            break
    assert set(statuses) == {200, 429}


async def is_counted_again(server: Server, settings: Settings) -> bool:
    """Whether the log says so once more: of a request a second, one that the server answers in time has to find it."""
    before = len(logged(server, BACK))
    for _ in range(TRIES):
        await asyncio.sleep(shared.PAUSE + 0.1)
        await slowest(server, settings, 1)
        if len(logged(server, BACK)) > before:
            return True
    return False


async def slowest(server: Server, settings: Settings, times: int) -> float:
    """Seconds of the slowest of some requests of a new user, all of which are served."""
    longest = 0.0
    async with client_for(server, settings) as client:
        for _ in range(times):
            started = time.perf_counter()
            assert (await client.get(TASKS)).status_code == 200
            longest = max(longest, time.perf_counter() - started)
    return longest


async def test_what_arrives_together_is_counted_together_and_everybody_learns_their_own_place(
    counts: SharedCounts,
) -> None:
    counter = counts.counter({"user": Limit(50, 60), "writes": Limit(20, 60)})
    found = await asyncio.gather(*(counter(key) for key in ("ada", "bob") for _ in range(60)))
    for part in (found[:60], found[60:]):
        users, writes = zip(*part, strict=True)
        assert (sum(allowed for allowed, _, _ in users), sum(allowed for allowed, _, _ in writes)) == (50, 20)
        assert {remaining for _, remaining, _ in users} <= set(range(50))
        assert all(0 < seconds <= 61 for _, _, seconds in (*users, *writes))
        assert all(remaining == 0 for allowed, remaining, _ in (*users, *writes) if not allowed)


async def test_whoever_waits_as_long_as_they_are_told_is_served(counts: SharedCounts) -> None:
    counter = counts.counter({"user": Limit(5, 1)})
    for _ in range(3):
        standings = [(await counter("ada"))[0] for _ in range(7)]
        assert standings[-1][:2] == (False, 0)
        await asyncio.sleep(standings[-1][2])
        assert (await counter("ada"))[0][0]


async def test_requests_whose_clients_are_gone_disturb_nobody(counts: SharedCounts) -> None:
    counter = counts.counter({"user": Limit(50, 60)})
    gone = [asyncio.create_task(counter("ada")) for _ in range(5)]
    stays = asyncio.create_task(counter("ada"))
    await asyncio.sleep(0)
    for task in gone:
        task.cancel()
    assert (await stays)[0][0]


async def test_more_batches_than_may_be_under_way_wait_for_the_next(
    counts: SharedCounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "BATCHES", 1)
    counter = counts.counter({"user": Limit(50, 60)})
    tasks = []
    for _ in range(20):
        tasks.append(asyncio.create_task(counter("ada")))
        await asyncio.sleep(0)
    assert [standing[0][1] for standing in await asyncio.gather(*tasks)] == list(range(49, 29, -1))


async def test_a_server_that_is_not_there_at_the_start_is_found_later(
    counting: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "LOOK_SECONDS", 5)
    counting.kill()
    counts = SharedCounts(counting.url)
    counter = counts.counter({"user": Limit(1, 60)})
    await counts.open()
    assert [await counter("ada") for _ in range(3)] == [[], [], []]
    counting.start()
    await asyncio.sleep(shared.PAUSE)
    assert [standing[0][0] for standing in [await counter("ada") for _ in range(2)]] == [True, False]
    await counts.close()


async def test_refused_tokens_are_counted_there_too(
    settings: Settings, counting: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "LOOK_SECONDS", 5)
    few = replace(settings, rate_limit_failed_auth=Limit(3, 60), rate_limit_url=counting.url)
    async with running(few) as one, running(few) as two:
        statuses = []
        for app in (one, two) * 3:
            transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # Litestar's scopes are TypedDicts
            async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
                statuses.append((await client.get(TASKS)).status_code)
    assert statuses == [401] * 3 + [429] * 3

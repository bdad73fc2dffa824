"""Writes of other workers, told by a Redis server that may be killed, hang and come back."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace

import asyncpg
import pytest
from redis.asyncio import Redis as Client

from app.events import polling, shared
from app.events.hub import Hub
from app.events.shared import SharedEvents
from app.settings import Settings
from tests.conftest import random_user
from tests.events.conftest import Device, DeviceOf, served
from tests.ratelimit import redis
from tests.ratelimit.redis import Redis

AWAY, BACK = "events are not shared", "events are shared again"

pytestmark = pytest.mark.skipif(redis.PROGRAM is None, reason=redis.MISSING)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(shared, "PATIENCE_SECONDS", 30.0)
    monkeypatch.setattr(shared, "BEAT_SECONDS", 0.3)
    monkeypatch.setattr(polling, "POLL_SECONDS", 0.2)
    monkeypatch.setattr(polling, "SELDOM_SECONDS", 1000.0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "PATIENCE_SECONDS", 1.0)


@pytest.fixture
def passing() -> Iterator[Redis]:
    with redis.running() as server:
        yield server


@pytest.fixture
async def two(passing: Redis, settings: Settings, device_at: DeviceOf) -> AsyncIterator[tuple[Device, Device]]:
    """Devices of one user at two workers; one writes, and the other follows."""
    given = replace(settings, events_url=f"{passing.url.replace('redis://', 'valkey://')}/3")
    async with AsyncExitStack() as stack:
        addresses = [await stack.enter_async_context(served(given)) for _ in range(2)]
        writer = await device_at(addresses[0])
        yield writer, await device_at(addresses[1], writer.user_id)


async def connected(writer: Device, reader: Device) -> None:
    """Wait until what one writes is told to the other, on a stream of its own."""
    stream = await reader.follow()
    async with asyncio.timeout(30):
        while True:
            revision = await writer.write()
            await asyncio.sleep(0.05)
            if revision in stream.revisions:
                break
    await stream.close()


async def test_writes_and_erasures_are_told_without_asking_the_database(
    two: tuple[Device, Device], settings: Settings
) -> None:
    writer, reader = two
    await connected(writer, reader)
    await asyncio.sleep(0.5)  # whoever has just come makes all ask once
    stream = await reader.follow()
    revision = await writer.write()
    await stream.until_revision(revision)
    connection = await asyncpg.connect(settings.database_url)
    await connection.execute("UPDATE users SET revision = revision + 10 WHERE id = $1", writer.user_id)
    await connection.close()
    await asyncio.sleep(1)
    assert stream.revisions == [revision]  # by whom else, if nobody asks
    assert (await writer.http.delete("/api/me")).status_code == 204
    await stream.until_revision(revision + 11)
    again = await writer.write()
    await stream.until_revision(again)
    assert stream.revisions == [revision, revision + 11, again]


async def test_many_writes_at_once_end_with_the_last_revision(two: tuple[Device, Device]) -> None:
    writer, reader = two
    await connected(writer, reader)
    stream = await reader.follow()
    revisions = await asyncio.gather(*(writer.write() for _ in range(60)))
    await stream.until_revision(max(revisions))
    assert stream.revisions == sorted(set(stream.revisions))


async def test_an_outage_breaks_no_write_is_logged_once_and_is_made_up_for(
    two: tuple[Device, Device], passing: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    writer, reader = two
    await connected(writer, reader)
    stream = await reader.follow()
    capsys.readouterr()
    passing.kill()
    for _ in range(3):
        await reader.http.get("/api/me")  # only a worker that works asks the database
        await stream.until_revision(await writer.write())
        await asyncio.sleep(0.3)
    passing.start()
    await connected(writer, reader)
    await stream.until_revision(await writer.write())
    assert stream.revisions == sorted(set(stream.revisions))
    logged = capsys.readouterr().out
    async with asyncio.timeout(30):
        while logged.count(BACK) < 2:  # who is told already may still wait for its own message to come back
            await asyncio.sleep(0.05)
            logged += capsys.readouterr().out
    assert (logged.count(AWAY), logged.count(BACK)) == (2, 2)  # of two workers


async def test_what_was_written_during_an_outage_is_told_at_its_end_though_nobody_works(
    two: tuple[Device, Device], passing: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader = two
    await connected(writer, reader)
    monkeypatch.setattr(polling, "AWAKE_SECONDS", 0.0)
    await asyncio.sleep(0.5)
    stream = await reader.follow()
    passing.kill()
    await asyncio.sleep(0.5)
    revision = await writer.write()
    await asyncio.sleep(0.5)
    assert stream.revisions == []
    passing.start()
    await stream.until_revision(revision)


@pytest.mark.usefixtures("impatient")
async def test_a_server_that_hangs_is_noticed_and_holds_no_write_up(
    two: tuple[Device, Device], passing: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    writer, reader = two
    await connected(writer, reader)
    stream = await reader.follow()
    passing.stop()
    try:
        revision = await writer.write()
        await reader.http.get("/api/me/tasks")
        await stream.until_revision(revision)
    finally:
        passing.proceed()
    await connected(writer, reader)
    await stream.until_revision(await writer.write())
    assert capsys.readouterr().out.count(AWAY) >= 1


async def test_a_worker_that_comes_makes_the_others_look_for_what_nobody_told_them(
    two: tuple[Device, Device], passing: Redis, settings: Settings
) -> None:
    """As the one may have been killed, in whose place it is, between a commit and its message."""
    writer, reader = two
    await connected(writer, reader)
    await asyncio.sleep(0.5)
    stream = await reader.follow()
    connection = await asyncpg.connect(settings.database_url)
    await connection.execute("UPDATE users SET revision = revision + 10 WHERE id = $1", writer.user_id)
    latest = await connection.fetchval("SELECT revision FROM users WHERE id = $1", writer.user_id)
    await connection.close()
    async with served(replace(settings, events_url=f"{passing.url}/3")):
        await stream.until_revision(latest)


async def test_installations_on_one_server_are_told_apart_by_the_number_in_the_url(passing: Redis) -> None:
    channels = {SharedEvents(f"{passing.url}{path}", None, None)._channel for path in ("", "/", "/0", "/1")}  # type: ignore[arg-type]  # noqa: SLF001 - never started
    assert channels == {"litestar-tasks:events:0", "litestar-tasks:events:1"}


async def test_messages_of_strangers_change_nothing(passing: Redis, settings: Settings) -> None:
    told: list[tuple[str, int]] = []

    class Listener(Hub):
        def moved(self, user_id: str, revision: int) -> bool:
            told.append((user_id, revision))
            return False

    events = SharedEvents(passing.url, Listener(settings), lambda: None)
    await events.start()
    client = Client.from_url(passing.url)
    user_id = random_user()
    async with asyncio.timeout(30):
        while not events.up:
            await asyncio.sleep(0.01)
        for message in (
            b"\xff\xfe\n\xff 7",
            b"",
            b"x\nada",
            b"x\nada nine",
            b"x\n../ada 5",
            f"x\n{user_id} 7".encode(),
        ):
            await client.publish("litestar-tasks:events:0", message)
        while not told:
            await asyncio.sleep(0.01)
    assert told == [(user_id, 7)]
    assert events.up
    await client.aclose()
    await events.stop()

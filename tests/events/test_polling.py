"""What other workers have written, where no server passes it on: asked for all users at once, and only for a while."""

import asyncio
import resource
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import asyncpg
import pytest

from app.events import polling
from app.settings import Settings
from tests.conftest import random_user
from tests.events.client import Stream, token
from tests.events.conftest import Device, DeviceOf, served
from tests.servers import serving
from tests.wire import Relay, relayed

POLL_SECONDS = 0.1
AWAKE_SECONDS = 2.0
IDLE = 1000


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "POLL_SECONDS", POLL_SECONDS)


@pytest.fixture
def sleepy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has nothing to do soon asks no more."""
    monkeypatch.setattr(polling, "AWAKE_SECONDS", AWAKE_SECONDS)


@pytest.fixture
def two(settings: Settings) -> Iterator[list[str]]:
    """Two workers of one database."""
    with serving(settings) as one, serving(settings) as other:
        yield [one, other]


@pytest.fixture
async def counted(settings: Settings, device_at: DeviceOf) -> AsyncIterator[tuple[Relay, Device]]:
    """A device of a worker whose statements are counted, once it has nothing to do."""
    async with (
        relayed(settings.database_url) as (relay, url),
        served(replace(settings, database_url=url)) as address,
    ):
        yield relay, await device_at(address)


async def silence(relay: Relay) -> None:
    """Wait until nothing is asked any more, longer than is asked otherwise."""
    async with asyncio.timeout(30):
        while True:
            relay.reset()
            await asyncio.sleep(5 * POLL_SECONDS)
            if not relay.statements:
                return


async def test_a_write_on_another_worker_is_told(two: list[str], device_at: DeviceOf) -> None:
    writer = await device_at(two[0])
    reader = await device_at(two[1], writer.user_id)
    stream = await reader.follow()
    assert (await reader.http.get("/api/me/tasks")).status_code == 200  # connected: pull once
    for _ in range(3):
        await stream.until_revision(await writer.write())
    assert stream.revisions == sorted(set(stream.revisions))


async def test_an_erasure_on_another_worker_is_told_once(two: list[str], device_at: DeviceOf) -> None:
    writer = await device_at(two[0])
    reader = await device_at(two[1], writer.user_id)
    stream = await reader.follow()
    last = await writer.write()
    await reader.http.get("/api/me/tasks")
    await stream.until_revision(last)
    await writer.http.delete("/api/me")
    await stream.until_revision(last + 1)
    await asyncio.sleep(5 * POLL_SECONDS)
    again = await writer.write()
    await stream.until_revision(again)
    assert stream.revisions == [last, last + 1, again]


async def test_opening_a_stream_asks_the_database_nothing(counted: tuple[Relay, Device]) -> None:
    relay, device = counted
    await asyncio.sleep(5 * POLL_SECONDS)
    relay.reset()
    stream = await device.follow()
    await asyncio.sleep(5 * POLL_SECONDS)
    assert (stream.status, relay.statements, relay.connections) == (200, 0, 0)


@pytest.mark.usefixtures("sleepy")
async def test_streams_of_many_users_are_one_statement_while_somebody_works_and_none_later(
    counted: tuple[Relay, Device], device_at: DeviceOf, settings: Settings
) -> None:
    relay, device = counted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    others = [await device_at(device.address) for _ in range(20)]
    streams = [await each.follow() for each in others]
    crowd = [await Stream.open(device.address, token(settings, random_user())) for _ in range(IDLE - len(others))]
    assert {stream.status for stream in (*streams, *crowd)} == {200}
    await device.http.get("/api/me")
    relay.reset()
    began = asyncio.get_running_loop().time()
    await asyncio.sleep(AWAKE_SECONDS / 2)
    assert 1 <= relay.statements <= (asyncio.get_running_loop().time() - began) / POLL_SECONDS + 1
    await silence(relay)
    relay.reset()
    await asyncio.sleep(AWAKE_SECONDS)
    assert relay.statements == 0

    connection = await asyncpg.connect(settings.database_url)
    await others[0].http.get("/api/me/tasks")  # which wakes it up again
    relay.reset()
    await connection.execute("INSERT INTO users (id, revision) VALUES ($1, 12)", others[7].user_id)
    await connection.close()
    await streams[7].until_revision(12)
    assert relay.statements >= 1
    await asyncio.gather(*(stream.close() for stream in crowd))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("sleepy")
async def test_health_checks_are_no_work(counted: tuple[Relay, Device]) -> None:
    relay, device = counted
    await device.follow()
    await silence(relay)
    for path in ("/health", "/ready", "/", "/api/somebody/tasks"):
        await device.http.get(path)
    await asyncio.sleep(5 * POLL_SECONDS)
    assert relay.statements == 0


@pytest.mark.usefixtures("sleepy")
async def test_a_change_that_is_seen_keeps_asking(counted: tuple[Relay, Device], settings: Settings) -> None:
    relay, device = counted
    stream = await device.follow()
    await device.write()
    connection = await asyncpg.connect(settings.database_url)
    for revision in range(2 * 10**15, 2 * 10**15 + 4):
        await asyncio.sleep(0.4 * AWAKE_SECONDS)  # together more than it would go on by itself
        await connection.execute("UPDATE users SET revision = $2 WHERE id = $1", device.user_id, revision)
        await stream.until_revision(revision)
    await connection.close()
    await silence(relay)


async def test_a_revision_never_goes_back(device_at: DeviceOf, settings: Settings) -> None:
    """Not even where the database does, as one that is restored might for a moment."""
    with serving(settings) as address:
        device = await device_at(address)
        stream = await device.follow()
        revision = await device.write()
        await stream.until_revision(revision)
        connection = await asyncpg.connect(settings.database_url)
        await connection.execute("UPDATE users SET revision = 5 WHERE id = $1", device.user_id)
        await device.http.get("/api/me/tasks")
        await asyncio.sleep(5 * POLL_SECONDS)
        await connection.execute("UPDATE users SET revision = $2 WHERE id = $1", device.user_id, revision + 1)
        await connection.close()
        await stream.until_revision(revision + 1)
    assert stream.revisions == [revision, revision + 1]


async def test_a_database_that_is_away_ends_no_stream_and_is_asked_again(
    counted: tuple[Relay, Device], capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    relay, device = counted
    stream = await device.follow()
    await device.write()
    relay.refusing = True
    relay.cut()
    assert (await device.http.get("/api/me/tasks")).status_code == 503
    await asyncio.sleep(3 * POLL_SECONDS)
    relay.refusing = False
    assert (await device.http.get("/api/me/tasks")).status_code == 200
    connection = await asyncpg.connect(settings.database_url)
    await connection.execute("UPDATE users SET revision = revision + 5 WHERE id = $1", device.user_id)
    latest = await connection.fetchval("SELECT revision FROM users WHERE id = $1", device.user_id)
    await connection.close()
    await stream.until_revision(latest)
    assert not stream.ended
    assert capsys.readouterr().out.count("revisions cannot be read") <= 1


async def test_a_user_who_has_never_written_is_told_of_the_first_write(two: list[str], device_at: DeviceOf) -> None:
    user_id = random_user()
    reader = await device_at(two[1], user_id)
    stream: Stream = await reader.follow()
    assert (await reader.http.get("/api/me/tasks")).status_code == 200
    await asyncio.sleep(3 * POLL_SECONDS)
    assert stream.revisions == []
    writer = await device_at(two[0], user_id)
    revision = await writer.write()
    await stream.until_revision(revision)
    assert stream.revisions == [revision]

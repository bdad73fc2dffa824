"""From the answer to a write to the event on a stream, and whether all of many streams end with the last write."""

import asyncio
import random
import statistics
import time

from tests.conftest import random_user
from tests.events.conftest import Device
from tests.load.live.service import Bench
from tests.processes import Server

STREAMS_OF_A_USER = 10
PATIENCE_SECONDS = 60


async def pair(bench: Bench, *, shared: bool) -> tuple[Server, Server]:
    """Return two workers that tell each other of writes, or ask the database."""
    first, second = (f"{number} of those that {'tell' if shared else 'ask'}" for number in (1, 2))
    return await bench.server(first, shared=shared), await bench.server(second, shared=shared)


async def delays(bench: Bench, *, other: bool, shared: bool, writes: int) -> list[float]:
    """Return the milliseconds of each write, to a stream at the same worker or at another one."""
    first, second = await pair(bench, shared=shared)
    second = second if other else first
    user_id = random_user()
    writer, reader = bench.device(first, user_id), bench.device(second, user_id)
    stream = await reader.follow()
    await stream.until_revision(await _known(writer, reader))
    taken = []
    for _ in range(writes):
        await reader.http.get("/api/me")  # its worker works, or would leave the database alone after a minute
        await asyncio.sleep(random.random() / 10 if shared or not other else random.random() * 2)  # noqa: S311
        sent = time.perf_counter()
        await stream.until_revision(await writer.write(), PATIENCE_SECONDS)
        taken.append((time.perf_counter() - sent) * 1e3)
    return taken


async def among_siblings(bench: Bench, writes: int) -> list[float]:
    """Return the milliseconds of each write to the last of ten streams, which are with both workers of one server.

    Nobody asks these anything else, so one of them may have had nothing to do for as long as there have been writes.
    """
    server = await bench.server("siblings", workers=2)
    user_id = random_user()
    streams = [await bench.device(server, user_id).follow() for _ in range(STREAMS_OF_A_USER)]
    writer = bench.device(server, user_id)
    taken = []
    for _ in range(writes):
        await asyncio.sleep(random.random())  # noqa: S311
        sent = time.perf_counter()
        revision = await writer.write()
        await asyncio.gather(*(stream.until_revision(revision, PATIENCE_SECONDS) for stream in streams))
        taken.append((time.perf_counter() - sent) * 1e3)
    return taken


async def _known(writer: Device, reader: Device) -> int:
    """Write once workers have found each other, and return the revision."""
    await reader.http.get("/api/me")
    await asyncio.sleep(3)
    return await writer.write()


def quantiles(taken: list[float]) -> tuple[float, float]:
    """Return the median and the 95th percentile."""
    return statistics.median(taken), sorted(taken)[max(0, round(0.95 * len(taken)) - 1)]


async def crowd(bench: Bench, *, streams: int, writers: int, seconds: float, shared: bool) -> tuple[int, int]:
    """Let writers write to users with many streams at two workers, and count writes and events.

    Raises AssertionError unless every stream ends with its user's last revision, and none has ever gone back.
    """
    servers = await pair(bench, shared=shared)
    users = [random_user() for _ in range(max(1, streams // STREAMS_OF_A_USER))]
    writing = [[bench.device(server, user_id) for user_id in users] for server in servers]
    following = [await random.choice(writing)[number % len(users)].follow() for number in range(streams)]  # noqa: S311
    assert {stream.status for stream in following} == {200}
    last = dict.fromkeys(users, 0)
    deadline = time.monotonic() + seconds
    count = 0

    async def write() -> None:
        nonlocal count
        while time.monotonic() < deadline:
            device = random.choice(random.choice(writing))  # noqa: S311
            revision = await device.write()
            last[device.user_id] = max(last[device.user_id], revision)  # of writers that have gone on meanwhile
            count += 1

    await asyncio.gather(*(write() for _ in range(writers)))
    for devices in writing:
        await devices[0].http.get("/api/me")
    for number, stream in enumerate(following):
        revision = last[users[number % len(users)]]
        if revision:
            await stream.until_revision(revision, PATIENCE_SECONDS)
        assert stream.revisions == sorted(set(stream.revisions))
    events = sum(len(stream.revisions) for stream in following)
    await asyncio.gather(*(stream.close() for stream in following))
    return count, events

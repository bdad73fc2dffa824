"""`litestar run` with four workers: whoever writes where, every stream learns of it, and workers may be killed."""

import asyncio
import json
import re
from collections.abc import AsyncIterator

import httpx
import pytest

from app.settings import Settings
from tests.events.client import Stream
from tests.events.conftest import Device, DeviceOf
from tests.events.following import all_are_there, kill_at_random, write
from tests.processes import NEVER_LIMITED, Server, copied_project
from tests.ratelimit import redis
from tests.ratelimit.redis import Redis

WORKERS = {"redis": 4, "database": 2}
KILLS = 3
STREAMS = 8


@pytest.fixture(params=["redis", "database"])
async def several(
    request: pytest.FixtureRequest, settings: Settings, device_at: DeviceOf
) -> AsyncIterator[tuple[Server, Device, Redis | None]]:
    """A device of several workers, which tell each other of writes, or ask the database."""
    with copied_project() as folder, redis.running() as passing:
        variables = {
            "DATABASE_URL": settings.database_url,
            "DATABASE_POOL_SIZE": "3",
            "BETTER_AUTH_SECRET": settings.better_auth_secret,
            "SHUTDOWN_DELAY": "8",
            "MAX_STREAMS_PER_USER": "100",  # one worker may get all of them
            **NEVER_LIMITED,
        }
        if request.param == "redis":
            variables["EVENTS_URL"] = passing.url
        server = Server(folder, port=None, workers=WORKERS[request.param], options=(), **variables)
        await asyncio.to_thread(server.serving)
        yield server, await device_at(server.url), passing if request.param == "redis" else None


async def work_everywhere(device: Device) -> None:
    """Let every worker ask the database for a while."""
    for _ in range(16):
        async with httpx.AsyncClient(base_url=device.address, headers=device.http.headers) as http:
            await http.get("/api/me")


async def every_stream_ends_with_the_last_revision(device: Device) -> list[Stream]:
    streams = [await device.follow() for _ in range(STREAMS)]
    await work_everywhere(device)
    revisions = await asyncio.gather(*(write(device) for _ in range(20)))
    for stream in streams:
        await stream.until_revision(max(revisions))
        assert stream.revisions == sorted(set(stream.revisions))
    return streams


async def the_end_is_readiness_first_and_then_the_streams(server: Server, streams: list[Stream]) -> None:
    server.process.terminate()
    async with asyncio.timeout(30), httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        while (await http.get("/ready")).status_code != 503:
            await asyncio.sleep(0.02)
    assert not any(stream.ended for stream in streams)
    for stream in streams:
        await stream.until_end()
        assert re.search(r"\n\nretry: \d+\n\n$", stream.text)
    assert await asyncio.to_thread(server.process.wait, 30) == 0
    logged = await asyncio.to_thread(server.whole_output)
    lines = [json.loads(line) for line in logged.splitlines() if '"route":"/api/{user_id}/events"' in line]
    assert {(line["status"], line["level"]) for line in lines} == {(200, "info")}
    assert min(line["duration_ms"] for line in lines[-STREAMS:]) > 2000


async def test_every_stream_learns_of_every_write_whoever_is_killed_and_ends_in_order(
    several: tuple[Server, Device, Redis | None],
) -> None:
    server, device, passing = several
    for stream in await every_stream_ends_with_the_last_revision(device):
        await stream.close()
    killed = await kill_at_random(server, device, passing, KILLS)  # whoever connects and pulls once has everything
    await all_are_there(server, server.workers + killed.get("worker", 0))
    await the_end_is_readiness_first_and_then_the_streams(server, [await device.follow() for _ in range(STREAMS)])

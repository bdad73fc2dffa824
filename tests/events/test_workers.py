"""`litestar run` with four workers: whoever writes where, every stream learns of it, and workers may be killed."""

import asyncio
import json
import os
import random
import re
import signal
from collections.abc import AsyncIterator

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from app.settings import Settings
from tests.events.client import Stream
from tests.events.conftest import Device, DeviceOf
from tests.processes import NEVER_LIMITED, Server, copied_project, until
from tests.ratelimit import redis

WORKERS = {"redis": 4, "database": 2}
KILLS = 3
STREAMS = 8


@pytest.fixture(params=["redis", "database"])
async def several(
    request: pytest.FixtureRequest, settings: Settings, device_at: DeviceOf
) -> AsyncIterator[tuple[Server, Device]]:
    """A device of several workers, which tell each other of writes, or ask the database."""
    with copied_project() as folder, redis.running() as passing:
        variables = {
            "DATABASE_URL": settings.database_url,
            "DATABASE_POOL_SIZE": "3",
            "BETTER_AUTH_SECRET": settings.better_auth_secret,
            "SHUTDOWN_DELAY": "3",
            **NEVER_LIMITED,
        }
        if request.param == "redis":
            variables["EVENTS_URL"] = passing.url
        server = Server(folder, port=None, workers=WORKERS[request.param], options=(), **variables)
        await asyncio.to_thread(server.serving)
        yield server, await device_at(server.url)


async def write(device: Device) -> int:
    """Write on a connection of its own, so that any worker may get it; as often as it takes, and at most once."""
    key = f"one-write-{os.urandom(8).hex()}"
    while True:
        try:
            async with httpx.AsyncClient(base_url=device.address, headers=device.http.headers) as http:
                answer = await http.post("/api/me/tasks", json={"title": "x"}, headers={"Idempotency-Key": key})
            if answer.status_code == 201:
                return int(answer.json()["revision"])
        except httpx.TransportError:
            await asyncio.sleep(0.1)


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


async def whoever_connects_and_pulls_once_has_everything(server: Server, device: Device) -> None:
    held: dict[str, int] = {}
    stop = asyncio.Event()

    async def follow(name: str) -> None:
        """Connect, pull once, and pull whenever an event has a revision that is not held; come back after any end."""
        while not stop.is_set():
            try:
                stream = await device.follow()
                await pull(name)
                while not stream.ended and not stop.is_set():
                    if max(stream.revisions, default=0) > held[name]:
                        await pull(name)
                    await asyncio.sleep(0.02)
                await stream.close()
            except (OSError, TimeoutError, AssertionError, asyncio.IncompleteReadError, httpx.TransportError):
                await asyncio.sleep(0.1)

    async def pull(name: str) -> None:
        async with httpx.AsyncClient(base_url=device.address, headers=device.http.headers) as http:
            held[name] = (await http.get("/api/me/tasks/changes?limit=5000")).json()["revision"]

    followers = [asyncio.create_task(follow(f"device {number}")) for number in range(4)]
    for _ in range(KILLS):
        living = [worker for worker in server.worker_ids if psutil.pid_exists(worker)]
        writes = [asyncio.create_task(write(device)) for _ in range(5)]
        os.kill(random.choice(living), signal.SIGKILL)  # noqa: S311 - whichever
        last = max(await asyncio.gather(*writes))
        async with asyncio.timeout(20):
            while len(held) < len(followers) or min(held.values()) < last:
                await asyncio.sleep(0.05)
    stop.set()
    await asyncio.gather(*followers)
    replaced = server.workers + KILLS  # until then the parent, which looks after its workers, heeds no signal
    await asyncio.to_thread(until, lambda: server.output.count("Application startup complete") == replaced, 60)


async def the_end_is_readiness_first_and_then_the_streams(server: Server, streams: list[Stream]) -> None:
    server.process.terminate()
    async with asyncio.timeout(8), httpx.AsyncClient(base_url=server.url) as http:
        while (await http.get("/ready")).status_code != 503:
            await asyncio.sleep(0.02)
    assert not any(stream.ended for stream in streams)
    for stream in streams:
        await stream.until_end()
        assert re.search(r"\n\nretry: \d+\n\n$", stream.text)
    assert await asyncio.to_thread(server.process.wait, 15) == 0
    lines = [json.loads(line) for line in server.output.splitlines() if '"route":"/api/{user_id}/events"' in line]
    assert {(line["status"], line["level"]) for line in lines} == {(200, "info")}
    assert min(line["duration_ms"] for line in lines[-STREAMS:]) > 2000


async def test_every_stream_learns_of_every_write_whoever_is_killed_and_ends_in_order(
    several: tuple[Server, Device],
) -> None:
    server, device = several
    for stream in await every_stream_ends_with_the_last_revision(device):
        await stream.close()
    await whoever_connects_and_pulls_once_has_everything(server, device)
    await the_end_is_readiness_first_and_then_the_streams(server, [await device.follow() for _ in range(STREAMS)])

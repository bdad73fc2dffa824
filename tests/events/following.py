"""Devices that follow the rule of docs/sync.md: connect, pull once, pull whenever an event is news, come back."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator

import httpx

from tests.events.client import Stream
from tests.events.conftest import Device
from tests.processes import Server, until
from tests.ratelimit.redis import Redis

DEVICES = 4
WRITES = 5
SECONDS = 60
BROKEN = (OSError, TimeoutError, AssertionError, asyncio.IncompleteReadError, httpx.TransportError)


async def write(device: Device) -> int:
    """Write on a connection of its own, so that any worker may get it; as often as it takes, and at most once."""
    key = f"one-write-{os.urandom(8).hex()}"
    while True:
        with contextlib.suppress(httpx.TransportError):
            async with httpx.AsyncClient(base_url=device.address, headers=device.http.headers) as http:
                answer = await http.post("/api/me/tasks", json={"title": "x"}, headers={"Idempotency-Key": key})
            if answer.status_code == 201:
                return int(answer.json()["revision"])
        await asyncio.sleep(0.1)


async def all_are_there(server: Server, number: int) -> None:
    """Wait until so many workers have begun: until then the parent, which looks after them, heeds no signal."""
    await asyncio.to_thread(until, lambda: server.output.count("Application startup complete") >= number, SECONDS)


class Follower:
    """Holds what the last pull has brought."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self.held = 0

    async def run(self) -> None:
        while True:
            with contextlib.suppress(*BROKEN):
                stream = await self._device.follow()
                try:
                    await self._follow(stream)
                finally:
                    await stream.close()
            await asyncio.sleep(0.1)

    async def _follow(self, stream: Stream) -> None:
        if stream.status == 200:
            await self._pull()
        while not stream.ended:
            if max(stream.revisions, default=0) > self.held:
                await self._pull()
            await asyncio.sleep(0.02)

    async def _pull(self) -> None:
        async with httpx.AsyncClient(base_url=self._device.address, headers=self._device.http.headers) as http:
            answer = await http.get("/api/me/tasks/changes", params={"since": self.held, "limit": 5000})
            assert answer.status_code == 200
            self.held = answer.json()["revision"]


@contextlib.asynccontextmanager
async def followed(device: Device) -> AsyncIterator[list[Follower]]:
    """Have some devices of a user follow."""
    followers = [Follower(device) for _ in range(DEVICES)]
    tasks = [asyncio.create_task(follower.run()) for follower in followers]
    try:
        yield followers
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def kill_at_random(server: Server, device: Device, passing: Redis | None, kills: int) -> dict[str, int]:
    """Kill a worker or Redis among writes, after which everybody has to get the last one; return how often what was."""
    counts: dict[str, int] = {}
    killed: set[int] = set()
    async with followed(device) as followers:
        for _ in range(kills):
            await all_are_there(server, server.workers + counts.get("worker", 0))
            writes = [asyncio.create_task(write(device)) for _ in range(WRITES)]
            await asyncio.sleep(random.random() / 50)  # noqa: S311 - at any moment
            if passing is not None and random.random() < 0.3:  # noqa: S311 - now and then
                what = "redis"
                await asyncio.to_thread(passing.kill)
                await asyncio.to_thread(passing.start)
            else:
                what = "worker"
                worker = random.choice([*({*server.worker_ids} - killed)])  # noqa: S311 - whichever, but each once
                os.kill(worker, signal.SIGKILL)
                killed.add(worker)
            last = max(await asyncio.gather(*writes))
            async with asyncio.timeout(SECONDS):
                while min(follower.held for follower in followers) < last:
                    await asyncio.sleep(0.05)
            counts[what] = counts.get(what, 0) + 1
    return counts

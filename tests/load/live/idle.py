"""What streams cost on which nothing happens: memory of the worker, statements, and the rate of everybody else."""

import asyncio
import socket
import statistics
import time
from typing import Final

import psutil  # type: ignore[import-untyped]

from app.events import polling
from tests.conftest import random_user
from tests.events.client import HEAD, token
from tests.faults.client import Client
from tests.load.live.service import Bench
from tests.processes import Server
from tests.wire import relayed

KIBIBYTE: Final = 1024
WARM_UP: Final = 300
CONNECTIONS: Final = 16


async def memory(bench: Bench, streams: int) -> tuple[float, float]:
    """Return the KiB that an idle connection takes of its worker, and what a stream takes beyond that."""
    connection = await _each(bench, "/health", streams)
    return connection, await _each(bench, "/api/me/events", streams) - connection


async def _each(bench: Bench, path: str, number: int) -> float:
    """Return the KiB of a worker that each connection with such a request takes."""
    server = await bench.server(path)
    worker = psutil.Process(server.worker_ids[0])
    _close(await asyncio.to_thread(connections, bench, server, path, WARM_UP))  # what the first ones leave behind
    await asyncio.sleep(1)
    before = _used(worker)
    kept = await asyncio.to_thread(connections, bench, server, path, number)
    await asyncio.sleep(1)
    after = _used(worker)
    _close(kept)
    return (after - before) / number / KIBIBYTE


def _used(process: psutil.Process) -> int:
    return int(process.memory_full_info().uss)


def connections(bench: Bench, server: Server, path: str, number: int) -> list[socket.socket]:
    """Open connections of users of their own, each with one request that is answered, or has begun to be."""
    opened = []
    for _ in range(number):
        client = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        client.sendall(HEAD.format(path=path, token=token(bench.settings, random_user())).encode())
        client.recv(4096)
        opened.append(client)
    return opened


def _close(opened: list[socket.socket]) -> None:
    for client in opened:
        client.close()


async def statements(bench: Bench, streams: int, seconds: float) -> tuple[int, int]:
    """Return what idle streams ask the database in so long a time, and in a tenth of it after somebody has written.

    The first begins as late after a request as the service goes on asking.
    """
    async with relayed(bench.settings.database_url) as (relay, url):
        server = await bench.server("counted", url=url)
        kept = await asyncio.to_thread(connections, bench, server, "/api/me/events", streams)
        device = bench.device(server, random_user())
        await device.write()
        await asyncio.sleep(min(seconds, polling.AWAKE_SECONDS) + 2 * polling.POLL_SECONDS)
        relay.reset()
        await asyncio.sleep(seconds)
        asleep = relay.statements
        await device.write()
        relay.reset()
        await asyncio.sleep(seconds / 10)
        _close(kept)
        return asleep, relay.statements


async def rates(bench: Bench, streams: int, rounds: int, seconds: float) -> tuple[float, float]:
    """Return how many reads of one task are served a second without and with idle streams: medians of turns."""
    without, beside = await bench.server("/health"), await bench.server("/api/me/events")
    kept = await asyncio.to_thread(connections, bench, beside, "/api/me/events", streams)
    taken: dict[int, list[float]] = {without.port: [], beside.port: []}
    for _ in range(rounds):
        for server in (without, beside):
            taken[server.port].append(await _rate(bench, server, seconds))
    _close(kept)
    return statistics.median(taken[without.port]), statistics.median(taken[beside.port])


async def _rate(bench: Bench, server: Server, seconds: float) -> float:
    clients = [Client(server.port, token(bench.settings, random_user())) for _ in range(CONNECTIONS)]
    created = await asyncio.gather(*(client.request("POST", "/tasks", {"title": "x"}) for client in clients))
    started = time.monotonic()
    count = 0

    async def read(client: Client, path: str) -> None:
        nonlocal count
        while not count or time.monotonic() < started + seconds:
            assert (await client.request("GET", path)).status == 200
            count += 1
        client.close()

    paths = [f"/tasks/{answer.json()['id']}" for answer in created]
    await asyncio.gather(*(read(client, path) for client, path in zip(clients, paths, strict=True)))
    return count / (time.monotonic() - started)

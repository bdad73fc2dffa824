"""One measurement: a contender's answer is checked, then it is asked for a while, and what that took is counted."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
import httpx
from msgspec import structs

from tests.load.bench import open_load, plans, seed, usage, wrk
from tests.load.bench.checks import Exchange, WrongAnswerError
from tests.load.bench.contenders import Running
from tests.load.bench.database import FOLDER, Database
from tests.load.bench.plans import Data, Request
from tests.load.bench.results import Cell
from tests.load.bench.work import CONDITIONAL, Work

MICRO: Final = 1e6
QUIET_SECONDS: Final = 0.04
"""Four ticks of the clock that processor time is counted in."""

WARM_UP: Final = 0.25
"""Share of the measured time that passes before it."""

ENOUGH_FOR_P999: Final = 1000
"""Of fewer requests it would be the slowest one."""


@dataclass(frozen=True)
class Target:
    """What one contender is asked for: all it can, or so many requests per second."""

    work: Work
    running: Running
    percent: int | None = None
    rate: float | None = None


class Meter:
    """Measures contenders that run already."""

    def __init__(self, database: Database, data: Data, connections: int) -> None:
        self._database = database
        self._data = data
        self._connections = connections

    async def cell(self, number: int, target: Target, seconds: float, connection: asyncpg.Connection) -> Cell:
        """Check the contender's answer, warm it up, and count what it does in so many seconds."""
        work, running = target.work, target.running
        cell = Cell(
            round=number, work=work.key, contender=running.contender.key, percent=target.percent, rate=target.rate
        )
        if work.writes:
            await seed.restore_writers(connection)
        try:
            plan = await self._plan(work, running, connection)
            # what it leaves under way, the measurement leaves as well
            await self._load(target, plan, seconds * WARM_UP * work.warm_ups)
            before, load, after = await usage.around(
                lambda seconds: self._load(target, plan, seconds), seconds, lambda: self._cpu(running)
            )
        except (WrongAnswerError, httpx.HTTPError) as error:
            return structs.replace(cell, error=f"{type(error).__name__}: {error}")
        if load.errors or not load.requests:
            return structs.replace(cell, error=f"of the load: {load.errors or 'no answer'}")
        application, postgresql = (
            (end - start) / load.requests * MICRO for start, end in zip(before, after, strict=True)
        )
        return structs.replace(
            cell,
            requests=load.requests,
            throughput=load.requests / load.seconds,
            p50=load.p50,
            p99=load.p99,
            p999=load.p999 if load.requests >= ENOUGH_FOR_P999 else None,
            application_cpu=application,
            postgresql_cpu=postgresql,
            resident=usage.resident_mebibytes(running.process_id),
        )

    async def _plan(self, work: Work, running: Running, connection: asyncpg.Connection) -> Path:
        """Check the contender's answer, then write what it will be asked."""
        plan = work.plan if work.nearest is None or running.contender.syncs else work.nearest
        requests = plan(self._data)
        if running.contender.constant:
            return _written(work, requests)
        async with httpx.AsyncClient(base_url=running.url) as client:
            exchange = Exchange(client, connection, self._data, running.contender)
            await work.check(exchange)
            if work.key == CONDITIONAL and running.contender.conditional:
                requests = plans.conditional_lists(self._data, await self._tags(client))
        return _written(work, requests)

    async def _tags(self, client: httpx.AsyncClient) -> dict[str, str]:
        return {
            request.user.id: (
                await client.get(request.path, headers={"Authorization": f"Bearer {request.user.token}"})
            ).headers["ETag"]
            for request in plans.lists(self._data)
        }

    async def _load(self, target: Target, plan: Path, seconds: float) -> wrk.Load:
        url, connections = target.running.url, self._connections
        if target.rate is None:
            return await wrk.run(url, target.work.script, plan, seconds=seconds, connections=connections)
        return await open_load.run(url, plan, rate=target.rate, seconds=seconds, connections=connections)

    async def until_quiet(self, running: Running) -> None:
        """Let the contender finish what wrk did not wait for; the next one is not to share the machine with it."""
        deadline = time.monotonic() + usage.LONGEST_WAIT
        spent, before = self._cpu(running), None
        while spent != before and time.monotonic() < deadline:
            await asyncio.sleep(QUIET_SECONDS)
            spent, before = self._cpu(running), spent

    def _cpu(self, running: Running) -> tuple[float, float]:
        return usage.cpu_seconds(running.process_id), usage.cpu_seconds(self._database.postmaster)


def _written(work: Work, requests: Iterable[Request]) -> Path:
    plan = FOLDER / f"{work.key}.plan"
    plan.write_text(plans.text(requests))
    return plan

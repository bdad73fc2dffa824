"""The rounds: in each of them every work item is measured on every contender, one after the other, so that what changes
on the machine meanwhile changes it for all; every second round goes backwards.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
import click
import httpx
from msgspec import Struct

from tests.load.bench import plans, seed, usage, wrk
from tests.load.bench.checks import Exchange, WrongAnswerError
from tests.load.bench.contenders import Running
from tests.load.bench.database import FOLDER, Database
from tests.load.bench.plans import Data
from tests.load.bench.work import CONDITIONAL, Work

MICRO: Final = 1e6
LONGEST_WAIT: Final = 10
QUIET_SECONDS: Final = 0.04
"""Four ticks of the clock that processor time is counted in."""

WARM_UP: Final = 0.25
"""Share of the measured time that passes before it."""


class Cell(Struct, frozen=True, kw_only=True):
    """One measurement: requests per second, milliseconds, microseconds of processor time per request, MiB."""

    round: int
    work: str
    contender: str
    requests: int = 0
    throughput: float = 0
    p50: float = 0
    p99: float = 0
    application_cpu: float = 0
    postgresql_cpu: float = 0
    resident: float = 0
    error: str | None = None


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    rounds: int
    seconds: float
    connections: int


class Bench:
    """Measures contenders that run already."""

    def __init__(self, database: Database, data: Data, effort: Effort) -> None:
        self._database = database
        self._data = data
        self._effort = effort

    async def measure(self, contenders: Sequence[Running], work: Sequence[Work]) -> list[Cell]:
        """Run all rounds."""
        cells: list[Cell] = []
        connection = await asyncpg.connect(self._database.settings.database_url)
        try:
            for number in range(self._effort.rounds):
                await seed.restore_writers(connection)
                await seed.tidy(connection)
                for item in work:
                    ordered = contenders if number % 2 == 0 else contenders[::-1]
                    for running in ordered:
                        if item.is_list or not running.contender.lists_only:
                            cells.append(await self._cell(number, item, running, connection))
                            await self._until_quiet(running)
                click.echo(f"Round {number + 1} of {self._effort.rounds} is done.", err=True)
        finally:
            await connection.close()
        return cells

    async def _cell(self, number: int, work: Work, running: Running, connection: asyncpg.Connection) -> Cell:
        key = running.contender.key
        if work.writes:
            await seed.restore_writers(connection)
        try:
            plan = await self._plan(work, running, connection)
            warm_up = self._effort.seconds * WARM_UP * work.warm_ups
            await self._load(running, work, plan, warm_up)  # what it leaves under way, the measurement leaves as well
            seconds = self._effort.seconds
            while True:
                before = self._cpu(running)
                load = await self._load(running, work, plan, seconds)
                after = self._cpu(running)
                if load.requests or seconds > LONGEST_WAIT:
                    break
                seconds *= 4  # a loaded machine, and not one answer in so short a time
        except (WrongAnswerError, httpx.HTTPError) as error:
            return Cell(round=number, work=work.key, contender=key, error=f"{type(error).__name__}: {error}")
        if load.errors or not load.requests:
            return Cell(round=number, work=work.key, contender=key, error=f"of wrk: {load.errors or 'no answer'}")
        application, postgresql = (
            (end - start) / load.requests * MICRO for start, end in zip(before, after, strict=True)
        )
        return Cell(
            round=number,
            work=work.key,
            contender=key,
            requests=load.requests,
            throughput=load.requests / load.seconds,
            p50=load.p50,
            p99=load.p99,
            application_cpu=application,
            postgresql_cpu=postgresql,
            resident=usage.resident_mebibytes(running.process_id),
        )

    async def _plan(self, work: Work, running: Running, connection: asyncpg.Connection) -> Path:
        """Check the contender's answer, then write what it will be asked."""
        requests = work.plan(self._data)
        async with httpx.AsyncClient(base_url=running.url) as client:
            exchange = Exchange(client, connection, self._data, conditional=running.contender.conditional)
            await work.check(exchange)
            if work.key == CONDITIONAL and running.contender.conditional:
                requests = plans.conditional_lists(self._data, await self._tags(client))
        plan = FOLDER / f"{work.key}.plan"
        plan.write_text(plans.text(requests))
        return plan

    async def _tags(self, client: httpx.AsyncClient) -> dict[str, str]:
        return {
            request.user.id: (
                await client.get(request.path, headers={"Authorization": f"Bearer {request.user.token}"})
            ).headers["ETag"]
            for request in plans.lists(self._data)
        }

    async def _load(self, running: Running, work: Work, plan: Path, seconds: float) -> wrk.Load:
        return await wrk.run(running.url, work.script, plan, seconds=seconds, connections=self._effort.connections)

    async def _until_quiet(self, running: Running) -> None:
        """Let the contender finish what wrk did not wait for; the next one is not to share the machine with it."""
        deadline = time.monotonic() + LONGEST_WAIT
        spent, before = self._cpu(running), None
        while spent != before and time.monotonic() < deadline:
            await asyncio.sleep(QUIET_SECONDS)
            spent, before = self._cpu(running), spent

    def _cpu(self, running: Running) -> tuple[float, float]:
        return usage.cpu_seconds(running.process_id), usage.cpu_seconds(self._database.postmaster)

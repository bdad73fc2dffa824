"""The rounds: in each of them every work item is measured on every contender, one after the other, so that what changes
on the machine meanwhile changes it for all; every second round goes backwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import click

from tests.load.bench import open_load, seed
from tests.load.bench.contenders import Running
from tests.load.bench.database import Database
from tests.load.bench.measure import Meter, Target
from tests.load.bench.plans import Data
from tests.load.bench.results import Cell, Summary
from tests.load.bench.work import REPLAY, Work


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    rounds: int
    seconds: float
    open_seconds: float
    connections: int


class Bench:
    """All measurements of a run."""

    def __init__(self, database: Database, data: Data, effort: Effort) -> None:
        self._url = database.settings.database_url
        self._meter = Meter(database, data, effort.connections)
        self._effort = effort

    async def closed(self, contenders: Sequence[Running], work: Sequence[Work]) -> list[Cell]:
        """Ask each contender for all it can: as soon as a connection has its answer, it sends the next request."""
        return await self._rounds(
            [
                [Target(item, running) for running in contenders if running.contender.takes_part(item.key)]
                for item in work
            ],
            self._effort.seconds,
        )

    async def open(self, contenders: Sequence[Running], work: Sequence[Work], found: Sequence[Summary]) -> list[Cell]:
        """Ask each contender for shares of what it was found to answer, at a constant rate."""
        most = {(one.work, one.contender): one.throughput for one in found if not one.error}
        return await self._rounds(
            [
                [
                    Target(item, running, percent, most[place] * percent / 100)
                    for running in contenders
                    if (place := (item.key, running.contender.key)) in most
                ]
                for item in work
                if item.script == REPLAY
                for percent in open_load.PERCENTS
            ],
            self._effort.open_seconds,
        )

    async def _rounds(self, groups: Sequence[Sequence[Target]], seconds: float) -> list[Cell]:
        cells: list[Cell] = []
        connection = await asyncpg.connect(self._url)
        try:
            for number in range(self._effort.rounds):
                await seed.restore_writers(connection)
                await seed.tidy(connection)
                for group in groups:
                    for target in group if number % 2 == 0 else group[::-1]:
                        cells.append(await self._meter.cell(number, target, seconds, connection))
                        await self._meter.until_quiet(target.running)
                click.echo(f"Round {number + 1} of {self._effort.rounds} is done.", err=True)
        finally:
            await connection.close()
        return cells

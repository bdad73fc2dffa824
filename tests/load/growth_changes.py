"""What it costs to ask what has changed: for a user with 50 tasks in each table, and for the big one."""

import itertools
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Final

import click
from msgspec import Struct

from app.tasks.changes.since import DEFAULT_LIMIT, MAXIMUM_LIMIT
from tests.load.growth_measure import Row, Table, Timer
from tests.load.growth_seed import BIG

SMALL: Final = "Sma11Sma11Sma11Sma11Sma11Sma11"
EDITS: Final = 50
RING: Final = 10_000
"""How far back the log of changes goes that users with very many tasks have."""

BOUND: Final = 20.0
"""Milliseconds that the changes of a user with very many tasks may take."""

WAYS: Final = {"statement": Table.changes_statement, "request": Table.changes_request}

MAKE_SMALL: Final = """
WITH made AS (
  INSERT INTO tasks (user_id, title, description, priority, tags, due_date, completed, revision, created_at, updated_at)
  SELECT $1, title, description, priority, tags, due_date, completed, revision, created_at, updated_at
  FROM tasks WHERE user_id = $2 AND deleted_at IS NULL AND NOT EXISTS (SELECT FROM users WHERE id = $1)
  ORDER BY created_at DESC LIMIT $3 RETURNING revision
)
INSERT INTO users (id, revision, floor) SELECT $1, max(revision), 0 FROM made HAVING count(*) > 0
"""
COUNT: Final = "UPDATE users SET tasks = (SELECT count(*) FROM tasks WHERE user_id = $1) WHERE id = $1 RETURNING tasks"
NEWEST: Final = "SELECT id FROM tasks WHERE user_id = $1 AND deleted_at IS NULL ORDER BY created_at DESC LIMIT $2"
ALIVE: Final = "SELECT count(*) FROM tasks WHERE user_id = $1 AND deleted_at IS NULL"


class Asker(Struct):
    """A user in a table: what to ask for, by what it is, and how many tasks the answer has."""

    table: Table
    user_id: str
    tasks: int
    shapes: dict[str, tuple[str, int]]

    async def check(self) -> None:
        """Hold each answer against what was written. Raises RuntimeError."""
        for shape, (query, expected) in self.shapes.items():
            page = await self.table.told(self.user_id, query)
            if len(page["changes"]) != expected:
                raise RuntimeError(f"{shape}: {len(page['changes'])} changes, not {expected}")


async def measured(tables: list[Table], rounds: int, seconds: float) -> list[Row]:
    """Edit 50 tasks of each user, then time every kind of question, in turns."""
    askers = [asker for table in tables async for asker in _askers(table)]
    timer = Timer(seconds)
    for _, asker, (way, call) in itertools.product(range(rounds), askers, WAYS.items()):
        for shape, (query, _) in asker.shapes.items():
            await timer.time(
                (way, asker.tasks, shape, asker.table.tasks), partial(call, asker.table, asker.user_id, query)
            )
    return list(_rows(askers, timer))


def _rows(askers: list[Asker], timer: Timer) -> Iterator[Row]:
    for way, tasks in itertools.product(WAYS, dict.fromkeys(asker.tasks for asker in askers)):
        same = [asker for asker in askers if asker.tasks == tasks]
        for shape in same[0].shapes:
            keys = {asker.table.tasks: (way, tasks, shape, asker.table.tasks) for asker in same}
            yield Row(way, f"{tasks:,}: {shape}", {size: timer.median(key) for size, key in keys.items()})


async def _askers(table: Table) -> AsyncIterator[Asker]:
    """Yield the users to ask for in a table, once 50 of their tasks have been edited."""
    await table.connection.execute(MAKE_SMALL, SMALL, table.probes[0], EDITS)
    for user_id in (SMALL, BIG):
        tasks = await table.connection.fetchval(COUNT, user_id)
        if tasks is None:  # the big user is not in every table
            continue
        newest = await table.connection.fetch(NEWEST, user_id, EDITS)
        revisions = [await table.rename(user_id, row["id"], f"Edit {number}") for number, row in enumerate(newest)]
        last = revisions[-1]
        alive = await table.connection.fetchval(ALIVE, user_id)
        shapes = {
            "nothing new": (f"since={last}", 0),
            "one change": (f"since={last - 1}", 1),
            "50 changes": (f"since={revisions[0] - 1}", EDITS),
            "50, beyond the log": (f"since={last - RING - 1}", EDITS),
            "first page of a copy": ("", min(DEFAULT_LIMIT, alive)),
            "first page of a copy, of 5,000": (f"limit={MAXIMUM_LIMIT}", min(MAXIMUM_LIMIT, alive)),
        }
        asker = Asker(table, user_id, tasks, shapes)
        await asker.check()
        yield asker


def verdict(rows: list[Row]) -> None:
    """Say whether what changed is told in time."""
    for row in rows:
        if row.shape.endswith((": one change", ": 50 changes")):
            slowest = max(row.milliseconds.values())
            click.echo(
                f"Of a user with {row.shape}, {row.way}: {slowest:.2f} ms "
                f"(bound {BOUND:.0f}: {'holds' if slowest <= BOUND else 'does not hold'})"
            )

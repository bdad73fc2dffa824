"""What a list costs in a table of 50,000 tasks, and in one of five million: every filter, every sort, deep pages.

Run it with `uv run python -m tests.load.growth`; it seeds an embedded PostgreSQL in `.dev/growth` (five million tasks
take some minutes and 3.5 GB, once), and measures the sizes in turns.
"""

import asyncio
import itertools
import secrets
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import asyncpg
import click
import msgspec

from app.db import migrations
from app.development import postgres
from app.settings import Settings
from tests.conftest import NEVER_REACHED
from tests.load import growth_changes
from tests.load.growth_measure import Row, Table, Timer, opened
from tests.load.growth_seed import BIG, probe_ids, seed

FOLDER: Final = Path(".dev") / "growth"
BOUND: Final = 1.3
PAGES: Final = (1, 100, 1000)
PAGE: Final = 50
SHARE: Final = 20
"""The big user is put into tables that have at least this many times his tasks."""

SHAPES: Final = {
    "page of 50": "",
    "status=pending": "status=pending",
    "priority=HIGH": "priority=HIGH",
    "tag=home": "tag=home",
    "search=milk": "search=milk",
    "due in a quarter": "due_after=2025-07-01&due_before=2025-10-01",
    "order=asc": "order=asc",
    "sort=updated": "sort=updated",
    "sort=due_date": "sort=due_date",
    "sort=priority": "sort=priority",
    "sort=title": "sort=title",
    "pending, tag, search, by title": "status=pending&tag=home&search=milk&sort=title",
}
NUMBERS: Final = {"profile": "", "statistics": "/stats"}
WAYS: Final = {"statement": Table.statement, "request": Table.request}


class Report(msgspec.Struct):
    """What was measured: `growth` and `changes` by the size of the table, for users who stay the same, and `depth`."""

    tasks: list[int]
    megabytes: list[int]
    growth: list[Row]
    anyone: list[Row]
    depth: list[Row]
    changes: list[Row]


async def seeded(url: str, tasks: int, big: int) -> Settings:
    """Return settings for the database with that many tasks; it is made if it is not there, or not finished."""
    name = f"tasks_{tasks}_{big}"
    settings = Settings(
        database_url=url.replace("/postgres?", f"/{name}?"),
        better_auth_secret=secrets.token_urlsafe(32),
        list_cache_bytes=0,
        database_pool_size=1,
        database_timeout=60,  # a slow answer is a figure here,
        slow_query_ms=0,  # and no warning
        log_level="warning",
        rate_limit=NEVER_REACHED,
    )
    admin = await asyncpg.connect(url)
    if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
        click.echo(f"Seeding {tasks:,} tasks", err=True)
        await admin.execute('DROP DATABASE IF EXISTS "unfinished"')
        await admin.execute('CREATE DATABASE "unfinished"')
        unfinished = url.replace("/postgres?", "/unfinished?")
        await asyncio.to_thread(migrations.upgrade, replace(settings, database_url=unfinished))
        connection = await asyncpg.connect(unfinished)
        await seed(connection, tasks=tasks, big=big)
        await connection.close()
        await admin.execute(f'ALTER DATABASE "unfinished" RENAME TO "{name}"')
    await admin.close()
    await asyncio.to_thread(migrations.upgrade, settings)
    return settings


async def growth(tables: list[Table], rounds: int, seconds: float) -> list[Row]:
    """Time every shape for the probes, who have the same tasks in every table."""
    timer = Timer(seconds)
    for number, (shape, query), (way, call) in itertools.product(range(rounds), SHAPES.items(), WAYS.items()):
        for table in tables:
            user_id = table.probes[number % len(table.probes)]
            await timer.time((way, shape, table.tasks), partial(call, table, user_id, f"limit={PAGE}&{query}"))
    for number, (shape, path) in itertools.product(range(rounds), NUMBERS.items()):
        for table in tables:
            user_id = table.probes[number % len(table.probes)]
            await timer.time(("request", shape, table.tasks), partial(table.numbers, user_id, path))
    return [
        Row(way, shape, {table.tasks: timer.median((way, shape, table.tasks)) for table in tables})
        for way, shape in [*itertools.product(WAYS, SHAPES), *(("request", shape) for shape in NUMBERS)]
    ]


async def anyone(tables: list[Table], rounds: int) -> list[Row]:
    """Time one page each of many users, most of whose tasks are in nobody's cache."""
    timer = Timer(float("inf"))
    for number, table in itertools.product(range(rounds), tables):
        user_id = table.anyone[number % len(table.anyone)]
        await timer.time(table.tasks, partial(table.statement, user_id, f"limit={PAGE}"))
    return [Row("statement", "another user each time", {table.tasks: timer.median(table.tasks) for table in tables})]


async def depth(table: Table, big: int, rounds: int, seconds: float) -> list[Row]:
    """Time the pages of the big user's list: by cursor in every order, and by offset."""
    deepest = min(PAGES[-1], big * 8 // 10 // PAGE)
    pages = [page for page in PAGES if page < deepest] + [deepest]
    shapes = {f"{shape}, by cursor": query for shape, query in SHAPES.items()}
    addresses: dict[tuple[str, int], str] = {}
    for (shape, query), page in itertools.product(shapes.items(), pages):
        addresses[shape, page] = f"limit={PAGE}&{query}"
        if page > 1:
            try:
                cursor = await table.cursor(BIG, query, (page - 1) * PAGE)
            except KeyError:  # the filters leave fewer tasks than that
                del addresses[shape, page]
            else:
                addresses[shape, page] += f"&cursor={cursor}"
    for page in pages:
        addresses["page of 50, by offset", page] = f"limit={PAGE}&offset={(page - 1) * PAGE}"
    timer = Timer(seconds)
    for _, (key, address), (way, call) in itertools.product(range(rounds), addresses.items(), WAYS.items()):
        await timer.time((way, *key), partial(call, table, BIG, address))
    for _, (shape, path) in itertools.product(range(rounds), NUMBERS.items()):
        await timer.time(shape, partial(table.numbers, BIG, path))
    shown = dict.fromkeys(shape for shape, _ in addresses)
    return [*(Row("request", shape, {1: timer.median(shape)}) for shape in NUMBERS)] + [
        Row(way, shape, {page: timer.median((way, shape, page)) for page in pages if (shape, page) in addresses})
        for way, shape in itertools.product(WAYS, shown)
    ]


def show(title: str, rows: list[Row], unit: str) -> None:
    columns = list(dict.fromkeys(number for row in rows for number in row.milliseconds))
    click.echo(f"\n{title}\n{'':44}" + "".join(f"{f'{unit}{number:,}':>14}" for number in columns) + f"{'ratio':>9}")
    for row in rows:
        values = (row.milliseconds.get(number) for number in columns)
        cells = "".join(f"{'-' if value is None else f'{value:.3f}':>14}" for value in values)
        click.echo(f"{row.way + ', ' + row.shape:44}{cells}{row.ratio:9.2f}")


def verdict(rows: list[Row], shape: str, meaning: str) -> None:
    for row in rows:
        if row.shape == shape and len(row.milliseconds) > 1:
            met = "holds" if row.ratio <= BOUND else "does not hold"
            first, *_, last = row.milliseconds
            click.echo(f"{meaning.format(first=first, last=last)}, {row.way}: {row.ratio:.2f} (bound {BOUND}: {met})")


async def measured(sizes: list[int], big: int, rounds: int, seconds: float, url: str) -> Report:
    async with AsyncExitStack() as stack:
        tables: list[Table] = []
        for tasks in sizes:
            share = big if big * SHARE <= tasks else 0
            settings = await seeded(url, tasks, share)
            connection = await asyncpg.connect(settings.database_url)
            probes = await probe_ids(connection)
            await connection.close()
            tables.append(await stack.enter_async_context(opened(settings, tasks, probes)))
        return Report(
            sizes,
            [table.megabytes for table in tables],
            await growth(tables, rounds, seconds),
            await anyone(tables, rounds * 10),
            await depth(tables[-1], big, rounds, seconds) if 0 < big * SHARE <= sizes[-1] else [],
            await growth_changes.measured(tables, rounds, seconds),
        )


def numbers(_context: Any, _parameter: Any, text: str) -> list[int]:
    try:
        return sorted(int(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter("numbers of tasks, separated by commas") from None


@click.command(help=__doc__)
@click.option("--tasks", default="50_000,500_000,5_000_000", show_default=True, callback=numbers)
@click.option(
    "--big", default=200_000, show_default=True, help="Tasks of the big user in the largest table; 0 for none."
)
@click.option("--rounds", default=200, show_default=True, help="Repetitions, in turns.")
@click.option("--seconds", default=2.0, show_default=True, help="Time for the repetitions of one figure.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures to this file, too.")
def main(tasks: list[int], big: int, rounds: int, seconds: float, file: Path | None) -> None:
    with postgres.running(FOLDER) as url:
        report = asyncio.run(measured(tasks, big, rounds, seconds, url))
    click.echo(", ".join(f"{n:,} tasks: {size:,} MiB" for n, size in zip(report.tasks, report.megabytes, strict=True)))
    show("One user among more and more others (ms, medians)", report.growth, "")
    show("The first page of everybody's list (ms, medians)", report.anyone, "")
    if report.depth:
        show(f"A user with {big:,} tasks, page by page (ms, medians)", report.depth, "page ")
    show("What changed, for users with so many tasks (ms, medians)", report.changes, "")
    click.echo()
    verdict(report.growth, "page of 50", "A page of 50 of {last:,} tasks against one of {first:,}")
    verdict(report.depth, "page of 50, by cursor", "Page {last:,} by cursor against page {first}")
    growth_changes.verdict(report.changes)
    if file:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(report)))


if __name__ == "__main__":
    main()

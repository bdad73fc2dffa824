"""`litestar database slow`: which of our statements the database spends its time on."""

import asyncio
from dataclasses import replace
from typing import Final

import asyncpg
import click
from msgspec import json

from app.db import statistics
from app.db.database import Database
from app.db.statistics import Counted, StatisticsMissing
from app.errors import InternalError, problem_of
from app.settings import Settings

HEADINGS: Final = ("calls", "mean ms", "total s", "share", "rows/call")
MILLI: Final = 1000


def command(settings: Settings) -> click.Command:
    """Return the command."""

    @click.command("slow", context_settings={"show_default": True})
    @click.option("--limit", type=click.IntRange(1, 1000), default=20, help="How many lines at most.")
    @click.option("--shapes", is_flag=True, help="Tell statements of one name apart, by the server's id of each.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON, with the SQL of each shape.")
    def slow(limit: int, *, shapes: bool, as_json: bool) -> None:
        """Print which statements took longest in total, from pg_stat_statements."""
        try:
            counted = asyncio.run(read(settings, limit=limit, shapes=shapes))
        except StatisticsMissing as missing:
            raise click.ClickException(str(missing)) from missing
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            problem = problem_of(error)
            if isinstance(problem, InternalError):
                raise
            raise click.ClickException(problem.detail) from error
        if as_json:
            click.echo(json.format(json.encode(counted)).decode())
        else:
            for line in table(counted) if counted else ["No statement of this service has been counted yet."]:
                click.echo(line)

    return slow


async def read(settings: Settings, *, limit: int, shapes: bool) -> list[Counted]:
    """Return what the server has counted, as the service's own role. Raises what the driver and `statistics` raise."""
    database = Database(replace(settings, database_pool_size=1))
    try:
        async with asyncio.timeout(settings.database_cold_start_timeout), database.engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            return await statistics.read(driver, limit=limit, shapes=shapes)
    finally:
        await database.close()


def table(counted: list[Counted]) -> list[str]:
    """Return lines for people."""
    names = [f"{each.name} {each.id}" if each.id else each.name for each in counted]
    width = max(map(len, ("statement", *names)))
    head = "".join(f"{heading:>12}" for heading in HEADINGS)
    lines = [f"{'statement':{width}}{head}"]
    for name, each in zip(names, counted, strict=True):
        numbers = (
            f"{each.calls}",
            f"{each.mean_ms:.2f}",
            f"{each.total_ms / MILLI:.1f}",
            f"{each.share:.1%}",
            f"{each.rows_per_call:.1f}",
        )
        hint = f"  {'; '.join(each.hints)}" if each.hints else ""
        lines.append(f"{name:{width}}{''.join(f'{number:>12}' for number in numbers)}{hint}")
    return lines

"""Measures this service and its peers side by side: `python -m tests.load.bench --help`."""

import asyncio
import secrets
import signal
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from app.settings import Settings
from tests.load.bench import contenders, database, environment, machine, open_load, peers, report, results, seed, wrk
from tests.load.bench.database import Database
from tests.load.bench.plans import Data
from tests.load.bench.results import Cell
from tests.load.bench.rounds import Bench, Effort
from tests.load.bench.work import WORK, Work

KEYS: Final = [work.key for work in WORK]
PLOT: Final = "tests.load.bench.plot"
OPEN_LOAD: Final = (
    f"Then also measure latency at {', '.join(map(str, open_load.PERCENTS))} % of what each contender answered, "
    "each request timed from the moment it was due."
)
OPEN_SECONDS: Final = "Of each measurement under open load."
BEFORE: Final = "Another checkout of this service, measured as well; its database must be the same."
PLOT_FILE: Final = "PNG or SVG; with --open-load a second one, named …-latency, is drawn beside it."


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--seconds", type=click.FloatRange(0.1), default=1.0, show_default=True, help="Of each measurement.")
@click.option("--connections", type=click.IntRange(1), help="Default 32; 8 with --added-latency, below the pool's 10.")
@click.option("--open-load", is_flag=True, help=OPEN_LOAD)
@click.option("--open-seconds", type=click.FloatRange(0.1), default=5.0, show_default=True, help=OPEN_SECONDS)
@click.option("--only-work", multiple=True, type=click.Choice(KEYS), help="May be repeated.")
@click.option("--only", multiple=True, help="A contender, such as ours, ours-cold, go or floor. May be repeated.")
@click.option(
    "--workers", multiple=True, type=click.IntRange(1), default=(1,), help="Of this service. May be repeated."
)
@click.option("--before", type=click.Path(path_type=Path, exists=True, file_okay=False), help=BEFORE)
@click.option("--added-latency", type=click.FloatRange(0), help="Milliseconds on every round trip to the database.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--plot", "plot_file", type=click.Path(path_type=Path, dir_okay=False), help=PLOT_FILE)
def main(
    only_work: tuple[str, ...],
    only: tuple[str, ...],
    before: Path | None,
    json_file: Path | None,
    plot_file: Path | None,
    **options: Any,
) -> None:
    """Measure this service and its peers on the embedded PostgreSQL, with wrk, on the loopback."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started here ends, too
    wrk.require()
    if options["open_load"]:
        open_load.require()
    environment.install()
    options["connections"] = options["connections"] or (8 if options["added_latency"] else 32)
    chosen = peers.available(options["workers"], before, only)
    work = [item for item in WORK if not only_work or item.key in only_work]
    settings = Settings(database_url="", better_auth_secret=secrets.token_urlsafe(32))
    with database.running(settings) as running:
        cells = _measure(running, chosen, work, options)
        found = results.Results(
            machine=machine.describe(running.version),
            options=options,
            contenders={contender.key: contender.title for contender in chosen},
            work={item.key: item.title for item in work},
            notes={item.key: item.note for item in work if item.note},
            summaries=results.summaries(cells),
            ratios=results.ratios(cells),
            cells=cells,
        )
    click.echo(report.text(found))
    kept = json_file or database.FOLDER / "results.json"
    kept.write_bytes(msgspec.json.format(msgspec.json.encode(found)))
    if plot_file:
        subprocess.run((environment.PYTHON, "-m", PLOT, kept, plot_file), check=True)
    if any(cell.error for cell in cells):
        raise click.ClickException("Some cells are errors.")


def _measure(
    running: Database, chosen: list[contenders.Contender], work: list[Work], options: dict[str, Any]
) -> list[Cell]:
    data = Data(*(seed.users(group, running.settings) for group in ("reader", "writer", "mixed")))
    effort = Effort(options["rounds"], options["seconds"], options["open_seconds"], options["connections"])
    direct, latency = running.settings.database_url, options["added_latency"]

    async def measured(url: str) -> list[Cell]:
        async with contenders.serving(chosen, replace(running.settings, database_url=url)) as serving:
            bench = Bench(running, data, effort)
            cells = await bench.closed(serving, work)
            if options["open_load"]:
                cells += await bench.open(serving, work, results.summaries(cells))
            return cells

    with database.delayed(direct, latency) if latency else nullcontext(direct) as url:
        return asyncio.run(measured(url))


if __name__ == "__main__":
    main()

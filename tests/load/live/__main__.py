"""Live updates: how late events are, what idle streams cost, and who misses what when processes are killed.

Run it with `python -m tests.load.live`; it starts a database, a Redis server and workers of its own.
"""

import asyncio
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

import click

from app.settings import Settings
from tests.conftest import random_user
from tests.events.following import kill_at_random
from tests.load.live import delays, idle
from tests.load.live.service import Bench, bench, ground
from tests.ratelimit.redis import Redis

PARTS = ("delays", "crowd", "memory", "statements", "rates", "kills")


async def print_delays(bench: Bench, writes: int) -> None:
    click.echo(f"{'ms from the write to the event':<40}{'p50':>10}{'p95':>10}")
    for name, taken in (
        ("same worker", partial(delays.delays, other=False, shared=False)),
        ("other host, Redis", partial(delays.delays, other=True, shared=True)),
        ("other worker of one host", delays.among_siblings),
        ("other host, database", partial(delays.delays, other=True, shared=False)),
    ):
        p50, p95 = delays.quantiles(await taken(bench, writes=writes))
        click.echo(f"{name:<40}{p50:>10.1f}{p95:>10.1f}")


async def print_crowd(bench: Bench, streams: int, writers: int, seconds: float) -> None:
    for shared, name in ((True, "Redis"), (False, "database")):
        writes, events = await delays.crowd(bench, streams=streams, writers=writers, seconds=seconds, shared=shared)
        click.echo(f"{name}: {writers} writers, {streams} streams: {writes} writes, {events} events, none missed")


async def print_kills(bench: Bench, kills: int) -> None:
    server = await bench.server("killed", workers=2, shared=True)
    counts = await kill_at_random(server, bench.device(server, random_user()), bench.passing, kills)
    click.echo(f"kills: {sum(counts.values())} ({counts}), nothing missed")


@click.command()
@click.option("--only", multiple=True, type=click.Choice(PARTS), help="Leave out the other parts.")
@click.option("--writes", default=200, show_default=True, help="Writes whose events are timed, each way.")
@click.option("--streams", default=1000, show_default=True)
@click.option("--writers", default=20, show_default=True)
@click.option("--idle", default=5000, show_default=True, help="Streams on which nothing happens.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--seconds", default=5.0, show_default=True, help="Length of a round.")
@click.option("--silence", default=60.0, show_default=True, help="Seconds in which statements of idle streams count.")
@click.option("--kills", default=200, show_default=True)
def main(**options: Any) -> None:
    """Measure all parts, one after the other."""
    with ground() as (settings, passing):
        asyncio.run(measure(options["only"] or PARTS, options, settings, passing))


async def measure(parts: Collection[str], given: Mapping[str, Any], settings: Settings, passing: Redis) -> None:
    """Print what is measured of each part."""
    async with bench(settings, passing) as place:
        if "delays" in parts:
            await print_delays(place, given["writes"])
        if "crowd" in parts:
            await print_crowd(place, given["streams"], given["writers"], given["seconds"])
        if "memory" in parts:
            connection, stream = await idle.memory(place, given["idle"])
            click.echo(f"memory, {given['idle']} each: {connection:.1f} KiB a connection, {stream:.1f} more a stream")
        if "statements" in parts:
            asleep, woken = await idle.statements(place, given["streams"], given["silence"])
            click.echo(f"{given['streams']} idle streams: {asleep} statements in {given['silence']:.0f} s,", nl=False)
            click.echo(f" {woken} in a tenth of it after a write")
        if "rates" in parts:
            without, beside = await idle.rates(place, given["idle"], given["rounds"], given["seconds"])
            click.echo(f"reads/s: {without:.0f}, beside {given['idle']} streams {beside:.0f}: {beside / without:.0%}")
        if "kills" in parts:
            await print_kills(place, given["kills"])


if __name__ == "__main__":
    main()

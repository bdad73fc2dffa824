"""How the memory of one worker grows under a million requests, nine reads to one write, of 2,000 users.

Run it with `python -m tests.load.endurance`; it starts the database of the benchmark and needs wrk.
"""

import asyncio
import secrets
from itertools import pairwise
from typing import Final

import click

from app.settings import Settings
from tests.load.bench import contenders, database, environment, plans, seed, usage, wrk
from tests.load.bench.database import Database
from tests.load.bench.plans import Data

SECONDS_AT_ONCE: Final = 2
CONNECTIONS: Final = 32


async def grow(running: Database, requests: int, step: int) -> list[tuple[int, float]]:
    """Return how many requests had been answered, and how much memory was resident then, at the start and per step."""
    data = Data(*(seed.users(group, running.settings) for group in ("reader", "writer", "mixed")))
    async with contenders.serving([contenders.ours(1)], running.settings) as [ours]:
        plan = database.FOLDER / "mix.plan"
        plan.write_text(plans.text(plans.mix(data)))
        answered, seen = 0, [(0, usage.resident_mebibytes(ours.process_id))]
        click.echo(f"{'requests':>10}{'MiB':>8}\n{0:>10}{seen[0][1]:>8.1f}")
        while answered < requests:
            load = await wrk.run(
                ours.url, "replay.lua", plan, seconds=min(SECONDS_AT_ONCE, step / 1000), connections=CONNECTIONS
            )
            if load.errors:
                raise click.ClickException(f"wrk saw errors after {answered} requests: {load.errors}")
            answered += load.requests
            if answered - seen[-1][0] >= step:
                seen.append((answered, usage.resident_mebibytes(ours.process_id)))
                click.echo(f"{answered:>10}{seen[-1][1]:>8.1f}")
    return seen


def growth(seen: list[tuple[int, float]]) -> float:
    """Return how much the memory grew over the second half of the requests, as a share of what it was before."""
    half = seen[-1][0] / 2
    middle = next(memory for (before, memory), (after, _) in pairwise(seen) if before <= half < after)
    return seen[-1][1] / middle - 1


@click.command()
@click.option("--requests", type=click.IntRange(1), default=1_000_000, show_default=True)
@click.option("--step", type=click.IntRange(1), default=100_000, show_default=True)
def main(requests: int, step: int) -> None:
    """Print the resident memory of a worker at the start and after every STEP requests."""
    wrk.require()
    environment.install()
    settings = Settings(database_url="", better_auth_secret=secrets.token_urlsafe(32))
    with database.running(settings) as running:
        seen = asyncio.run(grow(running, requests, step))
    click.echo(f"Growth over the second half: {growth(seen):.1%}")


if __name__ == "__main__":
    main()

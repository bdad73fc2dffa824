"""Whether a reader that pulls as fast as it can is told every change, in its order, while 20 clients of one user write.

Run it with `uv run python -m tests.sync.order`; it starts a server with two workers and an embedded PostgreSQL.
"""

import asyncio
import secrets
import time
from collections import Counter
from typing import Any, Final

import click
import httpx
from msgspec import Struct

from app.auth.mint import mint
from app.settings import Settings
from tests.conftest import random_user
from tests.faults.client import Client
from tests.processes import NEVER_LIMITED, Server, copied_project
from tests.sync.busy_writers import BusyWriter
from tests.sync.follower import PREFIX, Follower, Told

WRITERS: Final = 20
TOKEN_SECONDS: Final = 24 * 3600


class Outcome(Struct):
    """What was counted; `problems` should be empty."""

    writes: Counter[str]
    pulls: int
    pages: int
    changes: int
    """Rows that the reader was told, of tasks each at its latest revision."""

    late_changes: int
    """Those told to a reader that began with nothing in the middle of it."""

    tasks: int
    """Those that are there in the end."""

    problems: list[str]


async def run(port: int, settings: Settings, seconds: float) -> Outcome:
    """Write and read for so many seconds, then hold the copies against the list."""
    token = mint(settings, random_user(), TOKEN_SECONDS)
    told, names = Told(), list[str]()
    clients = [Client(port, token) for _ in range(2 * WRITERS + 2)]
    pairs = zip(clients[2::2], clients[3::2], strict=True)
    writers = [BusyWriter(number, pair, names, told) for number, pair in enumerate(pairs)]
    started = time.monotonic()
    followers: list[Follower] = []

    def going() -> bool:
        return time.monotonic() < started + seconds

    async def write(writer: BusyWriter) -> None:
        while going():
            await writer.write()

    async def follow(client: Client, delay: float) -> None:
        await asyncio.sleep(delay)
        follower = Follower(client, told)
        followers.append(follower)
        while going() and not follower.problems:
            await follower.pull()

    await writers[0].write()  # so that there is a user
    async with asyncio.TaskGroup() as tasks:
        for writer in writers:
            tasks.create_task(write(writer))
        tasks.create_task(follow(clients[0], 0))
        tasks.create_task(follow(clients[1], seconds / 2))
    stored = await _list(clients[0])
    for follower in followers:
        await follower.pull()
        if follower.copy != stored:
            follower.problems.append("the copy is not what the server has")
    for client in clients:
        client.close()
    return _outcome(writers, followers, len(stored))


def _outcome(writers: list[BusyWriter], followers: list[Follower], tasks: int) -> Outcome:
    first, late = followers
    counts = sum((writer.counts for writer in writers), Counter[str]())
    problems = [problem for writer in writers for problem in writer.problems]
    problems += [problem for follower in followers for problem in follower.problems]
    return Outcome(counts, first.pulls, first.pages, first.changes, late.changes, tasks, problems)


async def _list(client: Client) -> dict[str, dict[str, Any]]:
    """Return the tasks of the user by name."""
    stored: dict[str, dict[str, Any]] = {}
    path = "/tasks?limit=1000"
    while path:
        page = await client.request("GET", path)
        stored |= {task["uid"]: task for task in page.json()}
        links = httpx.Response(page.status, headers=page.headers).links
        path = links["next"]["url"].removeprefix(PREFIX) if "next" in links else ""
    return stored


@click.command(help=__doc__)
@click.option("--seconds", type=click.FloatRange(0.1), default=60.0, show_default=True)
def main(seconds: float) -> None:
    settings = Settings(database_url="", better_auth_secret=secrets.token_urlsafe(32))
    with copied_project() as folder:
        variables = {"BETTER_AUTH_SECRET": settings.better_auth_secret, **NEVER_LIMITED}
        server = Server(folder, port=None, workers=2, options=(), **variables).serving()
        outcome = asyncio.run(run(server.port, settings, seconds))
    for kind, count in sorted(outcome.writes.items()):
        click.echo(f"{count:>8} {kind}")
    click.echo(
        f"{outcome.writes.total():>8} writes acknowledged, {outcome.tasks} tasks in the end\n"
        f"{outcome.changes:>8} changes told on {outcome.pages} pages of {outcome.pulls} pulls, "
        f"{outcome.late_changes} to a reader that began in the middle"
    )
    if outcome.problems:
        raise click.ClickException("\n".join(outcome.problems[:20]))
    click.echo("No change was missed or out of order, and both copies are what the server has.")


if __name__ == "__main__":
    main()

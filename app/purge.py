"""`litestar tasks purge`: deleted tasks of a certain age are removed for good, in transactions of a bounded size.

It may be interrupted at any time, and run on several hosts at once: each transaction is complete in itself.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import click
import sqlalchemy as sa
from msgspec import Struct

from app.db import migrations
from app.db.database import Database
from app.development import postgres
from app.development.seed import possible_user
from app.durations import duration
from app.errors import InternalError, problem_of
from app.settings import Settings
from app.tasks.purge import Tombstones
from app.tasks.repository import TaskRepository

AGE: Final = "How long ago they were deleted, as in 90d, 12w or 48h; a day at least."
SHORTEST: Final = timedelta(days=1)
"""A client that was away for less keeps its copy, and a deletion can be undone for so long."""

BATCH: Final = 1000
"""Tombstones that one transaction removes; the user's own writes wait for it."""

USERS: Final = 500
"""Users who are looked for at once."""

SECONDS: Final = 60
"""How long a transaction may take, for the database may be far away."""

INTERRUPTED: Final = 130
"""Exit status after Ctrl-C, as shells have it."""


class Sum(Struct):
    """Of all users together, as far as it has come."""

    tasks: int = 0
    uids: int = 0
    users: int = 0

    def add(self, tombstones: Tombstones) -> None:
        """Add some of one user's."""
        self.tasks += tombstones.tasks
        self.uids += tombstones.uids

    def __str__(self) -> str:
        return f"deleted tasks {self.tasks}, uids {self.uids}, users {self.users}"


def command(settings: Settings) -> click.Command:
    """Return the command; without DATABASE_URL it is about the embedded database."""

    @click.command("purge")
    @click.option("--older-than", "age", callback=duration(SHORTEST), required=True, metavar="AGE", help=AGE)
    @click.option("--user", "user_id", metavar="ID", callback=possible_user, help="Those of this user only.")
    @click.option("--dry-run", is_flag=True, help="Count them, and remove nothing.")
    @click.pass_context
    def purge(context: click.Context, age: timedelta, user_id: str | None, *, dry_run: bool) -> None:
        """Remove deleted tasks for good.

        They cannot be restored after that, a create with the key of one makes a new task, and clients that have not
        asked for changes since then start again from the whole list.
        """
        done = Sum()
        so_far = "Counted" if dry_run else "Removed"
        with postgres.running() if settings.development else nullcontext():
            if settings.development:
                migrations.upgrade(settings)
            try:
                asyncio.run(run(settings, age, user_id, done, dry_run=dry_run))
            except KeyboardInterrupt:
                click.echo(f"Interrupted. {so_far}: {done}.", err=True)
                context.exit(INTERRUPTED)
            except Exception as error:
                problem = problem_of(error)
                if isinstance(problem, InternalError):
                    raise
                raise click.ClickException(f"{problem.detail}. {so_far}: {done}.") from error
        click.echo(f"{'To remove' if dry_run else 'Removed'}: {done}.")

    return purge


async def run(settings: Settings, age: timedelta, user_id: str | None, done: Sum, *, dry_run: bool) -> None:
    """Count or remove deleted tasks, and add them to `done` one by one. Raises what the database raises."""
    database = Database(replace(settings, database_timeout=SECONDS))
    try:
        async with asyncio.timeout(settings.database_cold_start_timeout), database.engine.connect() as connection:
            moment = await connection.execute(sa.select(sa.func.now() - age))  # by the clock of the deletions
            before = moment.scalar_one()
        total = done if dry_run else Sum()
        async for _, tombstones in _owners(database, before, user_id):
            total.add(tombstones)
            total.users += 1
        if not dry_run:
            with _progress(total.tasks) as bar:
                async for owner, _ in _owners(database, before, user_id):
                    await _purge(database, owner, before, done, bar)
    finally:
        await database.close()


async def _purge(database: Database, user_id: str, before: datetime, done: Sum, bar: Any) -> None:
    """Remove those of one user."""
    found, users = BATCH, done.users
    while found == BATCH:  # another host may have removed what was found
        async with database.transaction(user_id) as session:
            purged = await TaskRepository(session=session).purge(user_id, before, BATCH)
        found = purged.found
        done.add(purged)
        done.users = users + 1 if purged.tasks else done.users
        bar.update(purged.tasks)


async def _owners(database: Database, before: datetime, user_id: str | None) -> AsyncIterator[tuple[str, Tombstones]]:
    """Yield who has some, and how many."""
    page: Sequence[tuple[str, Tombstones]] = ()
    after: str | None = ""
    while after is not None:
        async with database.transaction() as session:
            page = await TaskRepository(session=session).tombstones(before, user_id=user_id, after=after, limit=USERS)
        for owner in page:
            yield owner
        after = page[-1][0] if len(page) == USERS else None


def _progress(tasks: int) -> Any:
    """Show on a terminal how far it has come."""
    return click.progressbar(
        length=tasks, label="Removing", show_pos=True, file=sys.stderr, hidden=not sys.stderr.isatty()
    )

"""`litestar seed`: believable tasks for one account, for a frontend to show. Either all of them are added or none."""

import asyncio
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import click

from app.auth.claims import SUBJECT
from app.db import migrations, url
from app.db.database import Database
from app.development import postgres
from app.development.samples import samples
from app.docs.page import DEVELOPMENT_USER
from app.errors import InternalError, problem_of
from app.settings import Settings
from app.tasks.repository import TaskRepository
from app.users.repository import UserRepository

MOST_TASKS: Final = 10_000
SECONDS: Final = 60
"""How long it may take, for the database may be far away."""


def command(settings: Settings) -> click.Command:
    """Return the command; outside of development it names the user, and asks before it writes."""
    user: dict[str, Any] = {"default": DEVELOPMENT_USER} if settings.development else {"required": True}

    @click.command("seed", context_settings={"show_default": True})
    @click.option("--user", "user_id", metavar="ID", callback=possible_user, **user)
    @click.option("--tasks", type=click.IntRange(1, MOST_TASKS), default=200, help="How many.")
    @click.option("--seed", "number", type=int, help="Draw the same tasks for the same number.")
    @click.option("--yes", is_flag=True, help="Do not ask, where DATABASE_URL is set.")
    def seed(user_id: str, tasks: int, number: int | None, *, yes: bool) -> None:
        """Add made-up tasks to an account."""
        if not settings.development and not yes:
            place = url.parse(settings.database_url, connect_timeout=settings.database_connect_timeout).url
            where = f"the database {place.database} on {place.host or 'localhost'}"
            click.confirm(f"Add {tasks} made-up tasks to {user_id} in {where}?", abort=True)
        with postgres.running() if settings.development else nullcontext():
            if settings.development:
                migrations.upgrade(settings)
            try:
                asyncio.run(fill(settings, user_id, tasks, number))
            except Exception as error:
                problem = problem_of(error)
                if isinstance(problem, InternalError):
                    raise
                raise click.ClickException(problem.detail) from error
        click.echo(f"{user_id} has {tasks} more tasks.")

    return seed


def possible_user(_context: click.Context, _param: click.Parameter, user_id: str | None) -> str | None:
    """Let through what can be the id of a user, or none."""
    if user_id is not None and not SUBJECT.fullmatch(user_id):
        raise click.BadParameter("only letters, digits, - and _, at most 128")
    return user_id


async def fill(settings: Settings, user_id: str, tasks: int, number: int | None) -> None:
    """Add that many tasks, for a number the same ones each time. Raises what the database raises."""
    database = Database(replace(settings, database_timeout=SECONDS))
    try:
        async with asyncio.timeout(settings.database_cold_start_timeout), database.engine.connect():
            pass  # a person waits, so nothing is tried again for a minute where nobody answers
        async with database.transaction() as session:
            last = await UserRepository(session=session).advance(user_id, tasks)
            revisions = range(last - tasks + 1, last + 1)
            await TaskRepository(session=session).add_many(samples(user_id, revisions, datetime.now(UTC), number))
    finally:
        await database.close()

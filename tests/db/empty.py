import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
from advanced_alchemy.alembic.commands import AlembicCommands

from app.db.migrations import MIGRATIONS, configuration
from app.settings import Settings

REVISIONS = sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
"""Of all migrations, in their order."""

LATEST = REVISIONS[-1]


class Empty:
    """A database without tables, and the commands that `litestar database` runs on it."""

    def __init__(self, url: str) -> None:
        self.settings = Settings(database_url=url, better_auth_secret=secrets.token_urlsafe(32))

    def commands(self, folder: Path = MIGRATIONS, **changes: Any) -> AlembicCommands:
        config = configuration(replace(self.settings, **changes))
        config.alembic_config.script_location = str(folder)
        return AlembicCommands(config)

    def query(self, statement: str) -> list[Any]:
        async def run() -> list[Any]:
            connection = await asyncpg.connect(self.settings.database_url)
            try:
                return [tuple(row) for row in await connection.fetch(statement)]
            finally:
                await connection.close()

        return asyncio.run(run())

    def execute(self, statements: str) -> None:
        async def run() -> None:
            connection = await asyncpg.connect(self.settings.database_url)
            await connection.execute(statements)
            await connection.close()

        asyncio.run(run())

    @contextmanager
    def transaction(self, statement: str) -> Iterator[Callable[[str], None]]:
        """Begin a transaction with this statement, and yield what runs further ones in it."""
        with asyncio.Runner() as runner:
            connection = runner.run(asyncpg.connect(self.settings.database_url))
            try:
                runner.run(connection.execute(f"BEGIN; {statement}"))
                yield lambda further: runner.run(connection.execute(further))
            finally:
                runner.run(connection.close())

    def tables(self) -> set[str]:
        return {name for (name,) in self.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}

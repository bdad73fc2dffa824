"""Runs migrations in one transaction: one that fails leaves nothing behind. Only our own tables are looked at."""

import asyncio
from typing import TYPE_CHECKING, Any

from alembic import context
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.base import Base
from app.tasks.model import Task
from app.users.model import User

if TYPE_CHECKING:
    from advanced_alchemy.alembic.commands import AlembicCommandConfig

OURS = {Task.__tablename__, User.__tablename__}

config: "AlembicCommandConfig" = context.config  # type: ignore[assignment]  # Advanced Alchemy's, with the engine


def include_name(name: str | None, kind: str, parents: Any) -> bool:
    """Look at our own tables only: Better Auth's may stand in the same schema."""
    return name in OURS if kind == "table" else parents.get("table_name") in OURS or kind == "schema"


def migrate(connection: Connection) -> None:
    """Run what is pending, in the connection's transaction; processes that migrate at once take turns."""
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('tasks_version'))")
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        version_table=config.version_table_name,
        compare_type=True,
        compare_server_default=False,
        include_name=include_name,
    )
    with context.begin_transaction():
        context.run_migrations()


def without_limit(_dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
    """Let a statement run for as long as it takes: building an index may."""
    parameters["command_timeout"] = None


async def migrate_online() -> None:
    """Connect as the application does, but without its limit on the time of a statement."""
    engine = config.engine
    assert isinstance(engine, AsyncEngine)  # noqa: S101 - ours always is
    event.listen(engine.sync_engine, "do_connect", without_limit)
    async with engine.begin() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


if context.is_offline_mode():
    raise SystemExit("Offline mode is not supported: run `litestar database upgrade` against a database.")
asyncio.run(migrate_online())

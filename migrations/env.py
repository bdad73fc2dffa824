"""Runs each migration in a transaction: one that fails leaves nothing behind. Only our own tables are looked at."""

import asyncio
from typing import TYPE_CHECKING, Any

import structlog
from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db import migrations
from app.models import Base, Task, TaskChange, User

if TYPE_CHECKING:
    from advanced_alchemy.alembic.commands import AlembicCommandConfig

OURS = {Task.__tablename__, TaskChange.__tablename__, User.__tablename__}

config: "AlembicCommandConfig" = context.config  # type: ignore[assignment]  # Advanced Alchemy's, with the engine
logger = structlog.get_logger("app.db.migrations")


def include_name(name: str | None, kind: str, parents: Any) -> bool:
    """Look at our own tables only: Better Auth's may stand in the same schema."""
    return name in OURS if kind == "table" else parents.get("table_name") in OURS or kind == "schema"


def report(*, step: Any, **_: Any) -> None:
    """Log the revision that was applied or taken back."""
    logger.info("migrated" if step.is_upgrade else "migrated back", revision=step.up_revision_id)


def migrate(connection: Connection) -> None:
    """Run what is pending, each migration with its version number in a transaction of its own."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        version_table=config.version_table_name,
        compare_type=True,
        compare_server_default=False,
        include_name=include_name,
        transaction_per_migration=True,  # in one for all, autocommit_block would commit those before it half-done
        on_version_apply=report,  # type: ignore[arg-type]  # called with keyword arguments, which the type leaves out
    )
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    raise SystemExit("Offline mode is not supported: run `litestar database upgrade` against a database.")
assert isinstance(config.engine, AsyncEngine)  # noqa: S101 - ours always is
asyncio.run(migrations.run(config.engine, migrate))

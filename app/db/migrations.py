"""Runs migrations: one process at a time, and never with the application's queries queued behind them for long.

Alembic is imported by whoever migrates: it takes 13 MiB, and workers do without.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import structlog
from advanced_alchemy.config import AlembicAsyncConfig, SQLAlchemyAsyncConfig
from sqlalchemy import Connection, MetaData, NullPool, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.db import ended, url
from app.db.failures import driver_error, outlook, sqlstate
from app.settings import Settings

PROJECT: Final = Path(__file__).parents[2]
MIGRATIONS: Final = PROJECT / "migrations"
VERSION_TABLE: Final = "tasks_version"

START_SECONDS: Final = 30.0
"""How long to wait for a database that does not answer yet: one that starts beside us, or a suspended compute."""
TURN_SECONDS: Final = 300.0  # how long to wait while another process migrates
LOCK_SECONDS: Final = 2.0
"""How long a statement may wait for a lock. Whoever wants the same table waits behind it, so this is well below the
4.5 seconds that a request has."""
RETRY_SECONDS: Final = 20.0
"""How long to try again after that, with pauses in which the requests that queued up are served."""
RETRY_PAUSE_SECONDS: Final = 2.0
POLL_SECONDS: Final = 0.5
TAKE_TURN: Final = f"SELECT WHERE pg_try_advisory_xact_lock(hashtext('{VERSION_TABLE}'))"

logger = structlog.get_logger("app.db.migrations")


class MigrationError(SystemExit):
    """Migrations did not run. As a SystemExit it ends every launcher with its one sentence on stderr."""


def upgrade(settings: Settings) -> None:
    """Bring the database's schema up to date. Raises MigrationError."""
    from advanced_alchemy.alembic.commands import AlembicCommands  # noqa: PLC0415 - see above

    AlembicCommands(configuration(settings)).upgrade()


def configuration(settings: Settings, metadata: MetaData | None = None) -> SQLAlchemyAsyncConfig:
    """Configure Advanced Alchemy's commands; `metadata` is for those that do without `migrations/env.py`."""
    return SQLAlchemyAsyncConfig(
        engine_instance=create_engine(settings),
        metadata=metadata,
        alembic_config=AlembicAsyncConfig(
            script_location=str(MIGRATIONS),
            toml_file=str(PROJECT / "pyproject.toml"),  # where there is one: it has the hooks for new migrations
            version_table_name=VERSION_TABLE,
        ),
    )


def create_engine(settings: Settings) -> AsyncEngine:
    """Return an engine for migrations: on the direct URL if there is one, without limits on the time of a statement."""
    direct = settings.database_url_unpooled
    variable, given = ("DATABASE_URL_UNPOOLED", direct) if direct else ("DATABASE_URL", settings.database_url)
    address = url.parse(given, connect_timeout=settings.database_connect_timeout, variable=variable)
    engine = create_async_engine(
        address.url,
        poolclass=NullPool,
        connect_args={**address.connect_args, "statement_cache_size": 0},
        execution_options={"variable": variable},
    )
    event.listen(engine.sync_engine, "begin", _limit_waiting_for_locks)
    return engine


async def pending(settings: Settings) -> int:
    """Return how many migrations the database lacks. Raises DBAPIError, OSError: the role may lack the right to ask.

    Names of files begin with their revisions, in the order in which they run; to read the files would take Alembic.
    """
    engine = create_engine(settings)
    try:
        async with engine.connect() as connection:
            applied = await connection.scalar(text(f"SELECT max(version_num) FROM {VERSION_TABLE}"))  # noqa: S608 - ours
    except DBAPIError as error:
        if sqlstate(error) != "42P01":  # undefined table: none has run
            raise
        applied = None
    finally:
        await engine.dispose()
    revisions = [path.name.partition("_")[0] for path in MIGRATIONS.glob("versions/[0-9]*.py")]
    return sum(revision > (applied or "") for revision in revisions)


async def run(engine: AsyncEngine, migrate: Callable[[Connection], None]) -> None:
    """Call `migrate` with a connection that has no transaction, while no other process is in here.

    It is called again, on a new connection, after it was refused a lock on a table. Raises MigrationError.
    SIGTERM ends it wherever it waits.
    """
    with ended.by_sigterm():
        await _run(engine, migrate)


async def _run(engine: AsyncEngine, migrate: Callable[[Connection], None]) -> None:
    async with aclosing(await _connect(engine)) as connection, _turn(connection):
        for pause in _pauses(RETRY_SECONDS, "a migration waits for a lock on a table", each=RETRY_PAUSE_SECONDS):
            try:
                async with engine.connect() as fresh:
                    return await fresh.run_sync(migrate)
            except DBAPIError as error:
                if sqlstate(error) != "55P03":  # lock not available
                    raise
            await asyncio.sleep(pause)
    raise MigrationError(
        "A migration gave up waiting for a lock that a long transaction holds; nothing of it is left behind."
    )


async def _connect(engine: AsyncEngine) -> AsyncConnection:
    """Connect, and wait for a database that is on its way; what waiting does not heal fails at once."""
    reason = ""
    for pause in _pauses(START_SECONDS, "waiting for the database"):
        try:
            return await engine.connect()
        except (OSError, DBAPIError) as error:
            cause = driver_error(error)
            reason = str(cause).split("\n", 1)[0] or type(cause).__name__
            if not outlook(cause).wait:
                break
        await asyncio.sleep(pause)
    variable = engine.get_execution_options().get("variable", "DATABASE_URL")
    raise MigrationError(f"{variable} names a database that cannot be reached: {reason}")


@asynccontextmanager
async def _turn(connection: AsyncConnection) -> AsyncIterator[None]:
    """Hold the lock that stands for migrating this database for the length of the block.

    It belongs to a transaction, so that it works through a pooler, where a session's lock would stay with others. It is
    tried again and again, over PostgreSQL's simple protocol: a statement that waits has a snapshot, one of the extended
    protocol keeps its own until the next, and CREATE INDEX CONCURRENTLY waits for all older snapshots to go.
    """
    driver: Any = (await connection.get_raw_connection()).driver_connection
    for pause in _pauses(TURN_SECONDS, "waiting while another process migrates"):
        async with driver.transaction():
            await driver.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            if await driver.execute(TAKE_TURN) == "SELECT 1":
                yield
                return
        await asyncio.sleep(pause)
    raise MigrationError(f"Another process has been migrating this database for {TURN_SECONDS:.0f} seconds.")


def _pauses(limit: float, waiting: str, *, each: float = POLL_SECONDS) -> Iterator[float]:
    """Yield jittered seconds to sleep until `limit` seconds are over, and log now and then what is waited for."""
    started = time.monotonic()
    report = 0.0
    while (waited := time.monotonic() - started) <= limit:
        yield each * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
        if waited >= report:
            logger.info(waiting, seconds=round(waited))
            report = waited + 10


def _limit_waiting_for_locks(connection: Connection) -> None:
    """Apply to every transaction; what runs in autocommit, such as CREATE INDEX CONCURRENTLY, makes nobody wait."""
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")

"""The fast lane: one statement, one wire round trip, in autocommit, on the driver's own connection."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import asyncpg
import structlog

from app.db.connections import Connections, Lease
from app.db.failures import STALE, AnswerLost, is_answer, is_passing, pause
from app.db.statement import Statement

STATEMENTS_PER_CONNECTION: Final = 128
"""Prepared statements kept on a connection; the oldest makes room, so that rare list shapes cannot fill the server."""

LOST: Final = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
"""Named statements that came to another client's connection, as PgBouncer below 1.21 mixes them in transaction mode."""

logger = structlog.get_logger("app.db")


class FastLane:
    """Runs compiled statements on borrowed connections.

    With `named`, statements are parsed once per connection; without, each execution sends its text along, which every
    PgBouncer accepts in transaction mode. Both take one round trip, after a first one that learns the types. The first
    named statement that gets lost ends their use.

    A statement has `timeout` seconds for everything: waiting, connecting, asking again. Until the database has been
    reached once it has `first_timeout`, for a compute that is only just waking up.
    """

    def __init__(self, connections: Connections, *, named: bool, timeout: float, first_timeout: float) -> None:
        self._connections = connections
        self._named = named
        self._timeout = timeout
        self._budget = max(timeout, first_timeout)
        self._generation = 0

    async def fetch(self, statement: Statement, values: Mapping[str, Any]) -> asyncpg.Record | None:
        """Return the first row or None.

        What may be over a moment later is tried again, unless the statement writes and may have run. Raises
        asyncpg.PostgresError for what the server refuses, QueueFull, AnswerLost, and OSError, TimeoutError or
        asyncpg.InterfaceError where the server cannot be asked.
        """
        arguments = statement.arguments(values)
        failure = None
        try:
            async with asyncio.timeout(self._budget):
                await self._connections.enter()
                try:
                    attempt = 0
                    while True:
                        try:
                            return await self._attempt(statement, arguments)
                        except Exception as error:
                            if not is_passing(error):
                                raise
                            failure = error
                        await pause(attempt)
                        attempt += 1
                finally:
                    self._connections.leave()
        except TimeoutError as expired:
            raise expired from failure

    async def _attempt(self, statement: Statement, arguments: list[Any]) -> asyncpg.Record | None:
        lease = await self._connections.borrow()
        sent = False
        try:
            prepared = lease.statements.get(statement.name)
            if prepared is None or lease.generation != self._generation:
                prepared = await self._prepare(lease, statement)
            sent = True
            record: asyncpg.Record | None = await prepared.fetchrow(*arguments)
        except BaseException as error:
            if isinstance(error, STALE):
                self._generation += 1
            if isinstance(error, LOST) and self._named:
                self._named = False
                self._generation += 1
                logger.warning("the pooler keeps no prepared statements; set DATABASE_STATEMENTS=unnamed")
            if is_answer(error) and not is_passing(error):
                self._connections.keep(lease)
                raise
            lease.end()  # nobody knows what is still on its way on this connection
            if sent and statement.writes and not is_answer(error):
                raise AnswerLost from error
            raise
        self._connections.keep(lease)
        self._budget = self._timeout
        return record

    async def _prepare(self, lease: Lease, statement: Statement) -> Any:
        """Prepare with a text of this generation: a pooler would answer the one before with the plan before."""
        if lease.generation != self._generation:
            lease.statements.clear()
            lease.generation = self._generation
        if len(lease.statements) >= STATEMENTS_PER_CONNECTION:
            del lease.statements[next(iter(lease.statements))]
        name, text = statement.name, statement.sql
        if self._generation:
            name, text = f"{name}_{self._generation}", f"{text} /* {self._generation} */"
        prepared = await lease.driver.prepare(text, name=name if self._named else "")
        lease.statements[statement.name] = prepared
        return prepared

"""The fast lane: one statement, one wire round trip, in autocommit, on the driver's own connection."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import asyncpg
from sqlalchemy import PoolProxiedConnection
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.statement import Statement

STATEMENTS_PER_CONNECTION: Final = 128
"""Prepared statements kept on a connection; the oldest makes room, so that rare list shapes cannot fill the server."""


class FastLane:
    """Runs compiled statements on the engine's pool.

    With `named`, statements are parsed once per connection; without, each execution sends its text along, which every
    PgBouncer accepts in transaction mode. Both take one round trip, after a first one that learns the types.
    """

    def __init__(self, engine: AsyncEngine, *, named: bool, timeout: float) -> None:
        self._engine = engine
        self._named = named
        self._timeout = timeout

    async def fetch(self, statement: Statement, values: Mapping[str, Any]) -> asyncpg.Record | None:
        """Return the first row or None, within `timeout` seconds from waiting for a connection to the answer.

        Raises asyncpg.PostgresError for what the server refuses, and OSError, TimeoutError, asyncpg.InterfaceError or
        sqlalchemy.exc.TimeoutError where it cannot be asked.
        """
        async with asyncio.timeout(self._timeout):
            connection = await self._engine.raw_connection()
            try:
                kept: dict[str, Any] = connection.info.setdefault("statements", {})
                prepared = kept.get(statement.name) or await self._prepare(connection, statement, kept)
                return await prepared.fetchrow(*statement.arguments(values))
            except asyncpg.InvalidCachedStatementError:
                connection.invalidate()  # the schema changed under its prepared statements
                raise
            except asyncpg.PostgresError:
                raise  # the server answered: the connection is sound
            except BaseException:
                connection.invalidate()  # nobody knows what is still on its way on this connection
                raise
            finally:
                connection.close()

    async def _prepare(self, connection: PoolProxiedConnection, statement: Statement, kept: dict[str, Any]) -> Any:
        if len(kept) >= STATEMENTS_PER_CONNECTION:
            del kept[next(iter(kept))]
        driver: Any = connection.driver_connection
        prepared = await driver.prepare(statement.sql, name=statement.name if self._named else "")
        kept[statement.name] = prepared
        return prepared

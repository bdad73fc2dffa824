"""Both lanes over one pool: single statements in autocommit, and explicit transactions."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker

from app.db.connections import Connections
from app.db.engine import create_engine
from app.db.failures import AnswerLost, is_answer, is_passing, pause
from app.db.lane import FastLane
from app.db.statement import Statement
from app.settings import Settings


class Database:
    """The fast lane in `lane`, and in `session` the session of the current asyncio task, for use in `transaction()`."""

    def __init__(self, settings: Settings) -> None:
        self.engine, named = create_engine(settings)
        self._connections = Connections(self.engine, size=settings.database_pool_size, queue=settings.database_queue)
        self.lane = FastLane(
            self._connections,
            named=named,
            timeout=settings.database_timeout,
            first_timeout=settings.database_cold_start_timeout,
        )
        self.session = async_scoped_session[AsyncSession](
            async_sessionmaker(self.engine, expire_on_commit=False), scopefunc=_current_task
        )
        self._timeout = settings.database_timeout

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Begin a transaction for the block and commit it at its end.

        Raises QueueFull, AnswerLost for a commit without an answer, and what the lane raises.
        """
        async with asyncio.timeout(self._timeout), self._connections.reserved():
            try:
                session = await self._connected()
                yield session
                try:
                    await session.commit()
                except BaseException as error:
                    if is_answer(error):
                        raise
                    raise AnswerLost from error
            finally:
                await self.session.remove()

    async def fetch(self, statement: Statement, values: Mapping[str, Any]) -> asyncpg.Record | None:
        """Run one statement in autocommit and return its first row or None. Raises what the lane raises."""
        return await self.lane.fetch(statement, values)

    async def close(self) -> None:
        """Close every connection."""
        self._connections.close()
        await self.engine.dispose()

    async def _connected(self) -> AsyncSession:
        """Return the task's session once it has a connection: up to here, nothing has been sent."""
        attempt = 0
        while True:
            try:
                await self.session.connection()
            except Exception as error:
                await self.session.rollback()
                if not is_passing(error):
                    raise
                await pause(attempt)
                attempt += 1
            else:
                return self.session()


def _current_task() -> asyncio.Task[object] | None:
    """Return the running task; None while the application is being built, when repositories look at their dialect."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None

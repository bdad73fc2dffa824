"""The database: single statements in one round trip each, in autocommit, and explicit transactions."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import Any, Final

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import coalesce, url
from app.db.connections import Connections
from app.db.deadline import Deadline
from app.db.decision import Decide, Decision, Decisions
from app.db.engine import create_engine
from app.db.failures import AnswerLost, StatementOutdated, retry, was_refused
from app.db.statement import USER_ID, Preparation, Statement
from app.db.turns import UserTurns, WaitingPerUser
from app.settings import Settings

NOBODY: Final = ""
"""Stands for the user where no user asks."""


class Database:
    """A statement or a transaction has `database_timeout` seconds for everything: waiting, connecting, asking again.

    Until the database has answered once, a statement has `database_cold_start_timeout`, for a compute that wakes up.
    """

    def __init__(self, settings: Settings) -> None:
        address = url.parse(settings.database_url, connect_timeout=settings.database_connect_timeout)
        self.engine = create_engine(address, settings)
        size = settings.database_pool_size
        self._connections = Connections(self.engine, size=size, queue=settings.database_queue)
        waiting = WaitingPerUser(settings.database_waiting_per_user)
        self._writes = UserTurns(settings.database_writes_per_user, waiting)
        self._reads = UserTurns(settings.database_reads_per_user or max(1, size // 2), waiting)
        self._preparation = Preparation(settings.database_statements, pooled=address.pooled)
        self._decisions = Decisions(self._connections, self._preparation)
        self._timeout = settings.database_timeout
        self._budget = max(settings.database_timeout, settings.database_cold_start_timeout)
        self._coalescer = coalesce.Coalescer(self._connections.turns, self._reads, self._ask, self._ask_for_several)
        self._coalesce = settings.database_coalesce
        self._loop: asyncio.AbstractEventLoop | None = None

    async def fetch(self, statement: Statement, values: Mapping[str, Any]) -> asyncpg.Record | None:
        """Run one statement in autocommit, on the driver's own connection, and return its first row or None.

        A read may be sent together with others; its row then has one more column, at the end. What may be over a
        moment later is tried again, unless the statement writes, may have run, and is not repeatable.

        Raises asyncpg.PostgresError for what the server refuses, QueueFull, UserQueueFull, AnswerLost, and OSError,
        TimeoutError or asyncpg.InterfaceError where the server cannot be asked.
        """
        loop = self._loop = self._loop or asyncio.get_running_loop()
        with Deadline(loop, self._budget):
            if self._coalesce and statement.varying and not self._preparation.distributed:
                return await self._coalescer.fetch(loop, statement, values)
            user_id = values.get(USER_ID.key, NOBODY)
            own = self._writes if statement.writes else self._reads
            if not own.take(user_id):
                await own.wait(user_id)
            try:
                async with self._connections.turns:
                    return await self._ask(statement, values)
            finally:
                own.release(user_id)

    @asynccontextmanager
    async def transaction(self, user_id: str | None = None) -> AsyncIterator[AsyncSession]:
        """Commit the block at its end; of a user it counts as one of the user's writes.

        Raises what `fetch` raises, and AnswerLost for a commit without an answer.
        """
        session = AsyncSession(self.engine, expire_on_commit=False)
        turn = nullcontext() if user_id is None else self._writes.turn(user_id)
        async with asyncio.timeout(self._timeout), turn, self._connections.reserved(), session:
            await retry(session.connection)  # up to here nothing has been sent
            yield session
            try:
                await session.commit()
            except BaseException as error:
                if was_refused(error):
                    raise
                raise AnswerLost from error

    async def decide(
        self, by: Decision, user_id: str, values: Mapping[str, Any], decide: Decide
    ) -> list[asyncpg.Record]:
        """Lock the user's row, read with `values`, and write what `decide` makes of that; return the rows written.

        It counts as one of the user's writes, and is begun anew where that can help. Raises what `fetch` raises.
        """
        attempt = partial(self._decisions.attempt, by, user_id, values, decide)
        async with asyncio.timeout(self._budget), self._writes.turn(user_id), self._connections.turns:
            written = await retry(attempt)
        self._budget = self._timeout
        return written

    async def close(self) -> None:
        await self._coalescer.close()
        self._connections.close()
        await self.engine.dispose()

    async def _ask(self, statement: Statement, values: Mapping[str, Any]) -> asyncpg.Record | None:
        attempt = partial(self._attempt, PreparedStatement.fetchrow, statement, statement.arguments(values))
        return await retry(attempt, repeatable=statement.repeatable)

    async def _ask_for_several(self, statement: Statement, arguments: list[Any]) -> Any:
        """Run a statement once, and leave those whom it is for the time to ask by themselves."""
        async with asyncio.timeout(min(coalesce.LONGEST, self._budget / 2)):
            return await self._attempt(PreparedStatement.fetch, statement, arguments)

    async def _attempt(self, fetch: Callable[..., Any], statement: Statement, arguments: list[Any]) -> Any:
        preparation = self._preparation
        with await self._connections.lease() as lease:
            sent = False
            try:
                known = lease.prepared
                prepared = known.statements.get(statement.prepared_name)
                if prepared is None or known.generation != preparation.generation:
                    prepared = await preparation.prepare(lease, statement)
                sent = True
                answer = await fetch(prepared, *arguments)
            except BaseException as error:
                outdated = preparation.learn_from(error, lease)
                if sent and statement.writes and not was_refused(error):
                    raise AnswerLost from error
                if outdated:
                    raise StatementOutdated from error
                raise
        self._budget = self._timeout
        return answer

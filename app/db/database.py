"""The database: single statements in one round trip each, in autocommit, and explicit transactions."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Any, Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.db import url
from app.db.attempts import Attempts
from app.db.coalesce import Coalescer
from app.db.connections import Connections
from app.db.deadline import Deadline
from app.db.decision import Decide, Decision, Decisions
from app.db.engine import create_engine
from app.db.failures import AnswerLost, retry, was_refused
from app.db.observation import Execution
from app.db.observers import AnyObserver, Observers
from app.db.statement import USER_ID, Preparation, Statement
from app.db.turns import UserTurns, WaitingPerUser
from app.settings import Settings

NOBODY: Final = ""
"""Stands for the user where no user asks."""


class Database:
    """A statement or a transaction has `database_timeout` seconds for everything: waiting, connecting, asking again.

    Until the database has answered once, a statement has `database_cold_start_timeout`, for a compute that wakes up.
    `observers` are told of each statement and transaction, see app/db/observers.py.
    """

    def __init__(self, settings: Settings, observers: Sequence[AnyObserver] = ()) -> None:
        address = url.parse(settings.database_url, connect_timeout=settings.database_connect_timeout)
        self.engine = create_engine(address, settings)
        size = settings.database_pool_size
        self._observers = Observers(observers)
        self._observed = bool(observers)
        self.connections = Connections(self.engine, size=size, queue=settings.database_queue)
        self.waiting = WaitingPerUser(settings.database_waiting_per_user)
        self._writes = UserTurns(settings.database_writes_per_user, self.waiting)
        self._reads = UserTurns(settings.database_reads_per_user or max(1, size // 2), self.waiting)
        self._preparation = Preparation(settings.database_statements, pooled=address.pooled)
        self._decisions = Decisions(self.connections, self._preparation)
        self._timeout = settings.database_timeout
        self._attempts = Attempts(
            self.connections,
            self._preparation,
            self._observers,
            timeout=settings.database_timeout,
            cold_start_timeout=settings.database_cold_start_timeout,
        )
        self._coalescer = Coalescer(
            self.connections.turns, self._reads, self._attempts.ask, self._attempts.ask_for_several
        )
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
        execution = Execution.begin(statement.name) if self._observed else None
        try:
            with Deadline(loop, self._attempts.budget):
                if self._coalesce and statement.varying and not self._preparation.distributed:
                    record = await self._coalescer.fetch(loop, statement, values, execution)
                else:
                    user_id = values.get(USER_ID.key, NOBODY)
                    own = self._writes if statement.writes else self._reads
                    if not own.take(user_id):
                        await own.wait(user_id)
                    try:
                        async with self.connections.turns:
                            record = await self._attempts.ask(statement, values, execution)
                    finally:
                        own.release(user_id)
        except BaseException as error:
            if execution is not None:
                self._observers.tell_of_failure(execution, error)
            raise
        if execution is not None and execution.lent:  # otherwise one for several has brought the answer
            self._observers.tell(execution)
        return record

    async def fetch_all(self, statement: Statement, values: Mapping[str, Any]) -> list[asyncpg.Record]:
        """Run a read that no request waits for, and return its rows. Raises what `fetch` raises."""

        async def attempt() -> list[asyncpg.Record]:
            execution = Execution.begin(statement.name) if self._observed else None
            self.connections.lent -= 1  # which is about requests
            return await self._attempts.ask_for_several(statement, statement.arguments(values), execution)

        async with asyncio.timeout(self._timeout), self.connections.turns:
            return await retry(attempt)

    @asynccontextmanager
    async def transaction(
        self, user_id: str | None = None, *, name: str = "transaction"
    ) -> AsyncIterator[AsyncSession]:
        """Commit the block at its end; of a user it counts as one of the user's writes. `name` is for people.

        Raises what `fetch` raises, and AnswerLost for a commit without an answer.
        """
        session = AsyncSession(self.engine, expire_on_commit=False)
        turn = nullcontext() if user_id is None else self._writes.turn(user_id)
        with self._observers.observing(name) as execution:
            async with asyncio.timeout(self._timeout), turn, self.connections.reserved(), session:
                await _connect(session, execution)  # up to here nothing has been sent
                try:
                    yield session
                    await _commit(session)
                finally:
                    if execution is not None:
                        execution.answered()

    async def decide(
        self, by: Decision, user_id: str, values: Mapping[str, Any], decide: Decide
    ) -> list[asyncpg.Record]:
        """Lock the user's row, read with `values`, and write what `decide` makes of that; return the rows written.

        It counts as one of the user's writes, and is begun anew where that can help. Raises what `fetch` raises.
        """
        with self._observers.observing(by.name) as execution:

            async def attempt() -> list[asyncpg.Record]:
                if execution is not None:
                    execution.attempt()
                try:
                    return await self._decisions.attempt(by, user_id, values, decide)
                finally:
                    if execution is not None:
                        execution.answered()

            async with asyncio.timeout(self._attempts.budget), self._writes.turn(user_id), self.connections.turns:
                return await retry(attempt)

    async def close(self) -> None:
        await self._coalescer.close()
        self.connections.close()
        await self.engine.dispose()


async def _connect(session: AsyncSession, execution: Execution | None) -> None:
    """Give the session a connection, and ask again for one where that can help."""

    async def attempt() -> AsyncConnection:
        if execution is not None:
            execution.attempt()
        return await session.connection()

    await retry(attempt)
    if execution is not None:
        execution.connected()


async def _commit(session: AsyncSession) -> None:
    try:
        await session.commit()
    except BaseException as error:
        if was_refused(error):
            raise
        raise AnswerLost from error

"""Runs one statement on a connection for which it is its turn, and again where that can help."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic
from typing import Any, Final

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

from app.db.connections import Connections
from app.db.failures import AnswerLost, StatementOutdated, retry, was_refused
from app.db.observation import Execution
from app.db.observers import Observers
from app.db.statement import Preparation, Statement

LONGEST: Final = 1.0
"""Seconds that a statement for several may take before each of its requests asks by itself, in the time it has left."""


class Attempts:
    """Each attempt is one round trip; `budget` is how many seconds a request has for all of them and for waiting.

    An execution comes with each statement while there are `observers`, and only then.
    """

    def __init__(
        self,
        connections: Connections,
        preparation: Preparation,
        observers: Observers,
        *,
        timeout: float,
        cold_start_timeout: float,
    ) -> None:
        self._connections = connections
        self._preparation = preparation
        self._observers = observers
        self._timeout = timeout
        self.budget = max(timeout, cold_start_timeout)

    async def ask(
        self, statement: Statement, values: Mapping[str, Any], execution: Execution | None
    ) -> asyncpg.Record | None:
        """Return the first row or None for one request, whoever asked has to tell the observers."""
        arguments = statement.arguments(values)
        attempt = partial(self._attempt, PreparedStatement.fetchrow, statement, arguments, execution)
        return await retry(attempt, repeatable=statement.repeatable)

    async def ask_for_several(
        self, statement: Statement, arguments: list[Any], execution: Execution | None
    ) -> list[asyncpg.Record]:
        """Run a statement once, and leave those whom it is for the time to ask by themselves."""
        try:
            async with asyncio.timeout(min(LONGEST, self.budget / 2)):
                rows = await self._attempt(PreparedStatement.fetch, statement, arguments, execution)
        except BaseException as error:
            if execution is not None:
                self._observers.tell_of_failure(execution, error)
            raise
        if execution is not None:
            self._observers.tell(execution)
        return rows  # type: ignore[no-any-return]  # asyncpg ships no types for what a method taken off its class returns

    async def _attempt(
        self, fetch: Callable[..., Any], statement: Statement, arguments: list[Any], execution: Execution | None
    ) -> Any:
        preparation = self._preparation
        if execution is not None:
            if execution.lent:
                execution.attempt()
            else:  # what it does then, without the call
                execution.lent = True
                execution.waited += (now := monotonic()) - execution.mark
                execution.mark = now
        with await self._connections.lease() as lease:
            sent = False
            try:
                known = lease.prepared
                prepared = known.statements.get(statement.prepared_name)
                if prepared is None or known.generation != preparation.generation:
                    prepared = await preparation.prepare(lease, statement)
                    if execution is not None:
                        execution.connected()
                sent = True
                answer = await fetch(prepared, *arguments)
            except BaseException as error:
                if sent and execution is not None:
                    execution.answered()
                outdated = preparation.learn_from(error, lease)
                if sent and statement.writes and not was_refused(error):
                    raise AnswerLost from error
                if outdated:
                    raise StatementOutdated from error
                raise
        self.budget = self._timeout
        if execution is not None:
            execution.took += monotonic() - execution.mark
            execution.rows = answer
        return answer

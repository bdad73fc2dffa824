"""Reads that wait for the same statement are sent as one, and each gets its own answer.

A read that finds nothing in its way is sent at once and by itself. Every answer is from a statement that was sent after
its request arrived, and no request fails or ends because of another.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextvars import Context
from itertools import islice
from time import monotonic
from typing import Any, Final

import asyncpg
import structlog

from app.db.connections import Turns
from app.db.failures import description
from app.db.lateral import LateralStatement
from app.db.statement import Statement

UNDER_WAY: Final = 2
"""Statements of a group that are under way while its further requests wait."""

LARGEST: Final = 64
"""Requests in one statement."""

SLOW: Final = 0.02
"""Seconds after which a statement no longer counts as under way: nobody waits longer for a slow or stuck one."""

LONGEST: Final = 1.0
"""Seconds that a statement for several may take before each of its requests asks by itself, in the time it has left."""

UNANSWERED: Final = object()
"""What a request gets instead of an answer when it has to ask by itself."""

Values = Mapping[str, Any]
Requests = dict[asyncio.Future[Any], Values]

logger = structlog.get_logger("app.db")


class Group:
    """Requests for one statement with the same shared values."""

    __slots__ = ("collecting", "key", "sent", "statement", "waiting", "watched")

    def __init__(self, key: Hashable, statement: Statement) -> None:
        self.key = key
        self.statement = statement
        self.sent: list[float] = []
        """When each statement under way was sent."""

        self.waiting: Requests = {}
        self.watched = False
        self.collecting = False
        """Whether those who wait are about to be sent; whoever comes before it is their turn is sent along."""

    def is_busy(self) -> bool:
        """Tell whether a request has to wait."""
        if self.collecting or len(self.sent) < UNDER_WAY:
            return self.collecting
        slow = monotonic() - SLOW
        return sum(moment > slow for moment in self.sent) >= UNDER_WAY

    def take(self) -> Requests:
        """Remove those who have waited longest, as many as go into one statement."""
        taken = dict(islice(self.waiting.items(), LARGEST))
        for answer in taken:
            del self.waiting[answer]
        return taken


class Coalescer:
    """`ask` runs a statement for one request, and again if need be; `ask_once` runs one for any number of them."""

    def __init__(
        self,
        turns: Turns,
        ask: Callable[[Statement, Values], Awaitable[asyncpg.Record | None]],
        ask_once: Callable[[Statement, list[Any]], Awaitable[list[asyncpg.Record]]],
    ) -> None:
        self._turns = turns
        self._ask = ask
        self._ask_once = ask_once
        self._groups: dict[Hashable, Group] = {}
        self._statements: dict[Statement, LateralStatement] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def fetch(
        self, loop: asyncio.AbstractEventLoop, statement: Statement, values: Values
    ) -> asyncpg.Record | None:
        """Return the first row or None. Raises QueueFull and what `ask` raises."""
        key = (statement, *[values[name] for name in statement.shared])
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(key, statement)
        if group.is_busy() and not self._turns.full:
            return await self._wait(loop, group, values)
        sent = monotonic()
        group.sent.append(sent)
        try:
            async with self._turns:
                return await self._ask(statement, values)
        finally:
            self._end(group, sent)

    async def close(self) -> None:
        """Cancel the statements for several requests."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _wait(self, loop: asyncio.AbstractEventLoop, group: Group, values: Values) -> asyncpg.Record | None:
        answer = loop.create_future()
        group.waiting[answer] = values
        self._turns.waiting += 1
        self._watch(group)
        try:
            record = await answer
        finally:
            if group.waiting.pop(answer, None) is not None:
                self._turns.waiting -= 1
        if record is UNANSWERED:
            async with self._turns.admitted():
                return await self._ask(group.statement, values)
        return record

    def _watch(self, group: Group) -> None:
        """Look again when what is under way counts as slow."""
        if group.waiting and not group.watched:
            group.watched = True
            asyncio.get_running_loop().call_later(SLOW, self._look, group)

    def _look(self, group: Group) -> None:
        group.watched = False
        self._advance(group)
        self._watch(group)

    def _advance(self, group: Group) -> None:
        """Send those who wait, if nothing is in their way, in a task that belongs to none of them."""
        if group.waiting and not group.is_busy():
            group.collecting = True
            task = asyncio.get_running_loop().create_task(self._collect(group), context=Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _end(self, group: Group, sent: float) -> None:
        group.sent.remove(sent)
        self._advance(group)
        if not group.sent and not group.collecting:
            del self._groups[group.key]

    async def _collect(self, group: Group) -> None:
        """Wait for a turn, send those who wait by then, and leave none of them without an answer."""
        await self._turns.enter()
        group.collecting = False
        sent = monotonic()
        group.sent.append(sent)
        requests = group.take()
        self._turns.waiting -= len(requests)
        try:
            if requests:
                await self._answer(group.statement, requests)
        except Exception as error:  # noqa: BLE001 - each request asks again and meets a failure of its own
            logger.info("a statement for several requests failed, so each asks by itself", **description(error))
        finally:
            self._turns.release()
            for answer in requests:
                if not answer.done():
                    answer.set_result(UNANSWERED)
            self._end(group, sent)

    async def _answer(self, statement: Statement, requests: Requests) -> None:
        if len(requests) == 1:
            [values] = requests.values()
            rows = await self._ask_once(statement, statement.arguments(values))
            found = dict(enumerate(rows, start=1))
        else:
            together = self._statements.get(statement)
            if together is None:
                together = self._statements[statement] = LateralStatement.of(statement)
            rows = await self._ask_once(together, together.arguments_of([*requests.values()]))
            found = {row["n"]: row for row in rows}
        for number, answer in enumerate(requests, start=1):
            if not answer.done():
                answer.set_result(found.get(number))

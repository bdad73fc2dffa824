"""Whose turn it is: a request waits for a turn of its user first, and with that for one of the worker's connections.

Whoever waits for a turn of their own stands in nobody else's line, and users without requests leave nothing behind.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from app.db.failures import QueueFull, UserQueueFull


class Turns(asyncio.Semaphore):
    """Lets in `size` at once, and at most `queue` requests wait for that.

    `waiting` counts them, and those that app/db/coalesce.py keeps waiting to send them together.
    """

    def __init__(self, size: int, queue: int) -> None:
        super().__init__(size)
        self.size = size
        self.queue = queue
        self.waiting = 0
        self.refused = 0
        """How often the queue was full."""

    @property
    def taken(self) -> int:
        """How many are in."""
        return self.size - self._value

    @property
    def full(self) -> bool:
        """Whether no further request may wait."""
        return self.waiting >= self.queue

    async def acquire(self) -> Literal[True]:
        """Wait for a turn. Raises QueueFull."""
        if not self.locked():
            return await self.enter()
        if self.full:
            self.refused += 1
            raise QueueFull
        return await self._wait()

    async def enter(self) -> Literal[True]:
        """Wait for a turn on behalf of requests that are counted already."""
        return await super().acquire()

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        """Have a turn, waited for whatever the bound, for a request that has waited within it before."""
        await self._wait()
        try:
            yield
        finally:
            self.release()

    async def _wait(self) -> Literal[True]:
        self.waiting += 1
        try:
            return await self.enter()
        finally:
            self.waiting -= 1


class WaitingPerUser:
    """Counts the requests of each user that wait, for a turn of their own or to be sent together; at most `bound`."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._waiting: dict[str, int] = {}
        self.refused = 0
        """How often a user's was full."""

    def add(self, user_id: str, *, admitted: bool = False) -> None:
        """Count one more; one that was `admitted` before counts whatever the bound. Raises UserQueueFull."""
        waiting = self._waiting.get(user_id, 0)
        if waiting >= self._bound and not admitted:
            self.refused += 1
            raise UserQueueFull
        self._waiting[user_id] = waiting + 1

    def remove(self, user_id: str) -> None:
        left = self._waiting[user_id] - 1
        if left:
            self._waiting[user_id] = left
        else:
            del self._waiting[user_id]


class UserTurns:
    """Lets in `size` requests of each user at once; the user's further ones wait in the order they came.

    A turn that is given back goes to the user's next in line, so whoever finds one free overtakes nobody.
    """

    def __init__(self, size: int, waiting: WaitingPerUser) -> None:
        self._size = size
        self._taken: dict[str, int] = {}
        self._lines: dict[str, OrderedDict[asyncio.Future[None], None]] = {}
        self.waiting = waiting

    def are_taken(self, user_id: str) -> bool:
        """Tell whether the user's next request has to wait."""
        return self._taken.get(user_id, 0) >= self._size

    def take(self, user_id: str) -> bool:
        """Take a turn if one is free."""
        taken = self._taken.get(user_id, 0)
        if taken >= self._size:
            return False
        self._taken[user_id] = taken + 1
        return True

    def release(self, user_id: str) -> None:
        """Give a turn to the user's next in line, or back."""
        line = self._lines.get(user_id)
        while line:
            turn, _ = line.popitem(last=False)
            if not line:
                del self._lines[user_id]
            if not turn.done():  # as it is where its request was cancelled a moment ago
                turn.set_result(None)
                return
        left = self._taken[user_id] - 1
        if left:
            self._taken[user_id] = left
        else:
            del self._taken[user_id]

    def line_up(self, user_id: str) -> asyncio.Future[None]:
        """Stand in line while all turns are taken; the future is done when the turn has come, and is to be released."""
        turn = asyncio.get_running_loop().create_future()
        self._lines.setdefault(user_id, OrderedDict())[turn] = None
        return turn

    def leave(self, user_id: str, turn: asyncio.Future[None]) -> None:
        """Leave the line before the turn has come."""
        line = self._lines.get(user_id, OrderedDict())
        if turn in line:
            del line[turn]
            if not line:
                del self._lines[user_id]

    async def wait(self, user_id: str, *, admitted: bool = False) -> None:
        """Wait in line for a turn, whatever the bound if `admitted` before. Raises UserQueueFull."""
        self.waiting.add(user_id, admitted=admitted)
        turn = self.line_up(user_id)
        try:
            await turn
        except BaseException:
            if turn.cancelled():
                self.leave(user_id, turn)
            else:  # it came in the moment in which the request was cancelled
                self.release(user_id)
            raise
        finally:
            self.waiting.remove(user_id)

    @asynccontextmanager
    async def turn(self, user_id: str, *, admitted: bool = False) -> AsyncIterator[None]:
        """Have a turn for the length of the block. Raises UserQueueFull."""
        if not self.take(user_id):
            await self.wait(user_id, admitted=admitted)
        try:
            yield
        finally:
            self.release(user_id)

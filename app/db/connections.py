"""The worker's connections: taken from the engine's pool once and lent to one statement after the other.

As many requests have their turn as there are connections, and as many wait as the queue allows, in the order they
came. Everybody else is refused at once: nobody waits in a queue that cannot be served in time.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, Self

from sqlalchemy import PoolProxiedConnection, event
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.failures import outlook, was_refused
from app.db.turns import Turns

PREPARED: Final = "prepared"
"""Key in the dict that SQLAlchemy's pool keeps for each driver connection, and clears when it opens another one."""


class Prepared:
    """The statements prepared on a driver connection, all of one generation; they last as long as it does."""

    __slots__ = ("generation", "statements")

    def __init__(self) -> None:
        self.statements: dict[str, Any] = {}
        self.generation: int | None = None


class Lease:
    """A connection that is out of the engine's pool.

    As a context manager it goes back to those that are idle, unless nobody knows what is still on its way on it.
    """

    __slots__ = ("_idle", "driver", "pooled", "prepared")

    def __init__(self, pooled: PoolProxiedConnection, idle: list["Lease"]) -> None:
        self._idle = idle
        self.pooled = pooled
        self.driver: Any = pooled.driver_connection
        self.prepared: Prepared = pooled.info.setdefault(PREPARED, Prepared())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if error is None or (was_refused(error) and not outlook(error).retry):
            self._idle.append(self)
        else:
            self.pooled.invalidate()


class Connections:
    """At most `size` connections for those whose turn it is."""

    def __init__(self, engine: AsyncEngine, *, size: int, queue: int) -> None:
        self._engine = engine
        self._idle: list[Lease] = []
        self.turns = Turns(size, queue)
        self.open = 0
        """How many the engine's pool has opened and not closed."""
        self.lent = 0
        """How often one was asked for by requests, for a statement or a batch."""

        event.listen(engine.sync_engine, "connect", partial(self._count, 1))
        event.listen(engine.sync_engine, "close", partial(self._count, -1))

    async def lease(self) -> Lease:
        """Return the connection used last, which is the likeliest to be warm; one that died while idle is passed over.

        With the turn this is 1.3 µs; the engine's pool takes 15 to hand one out and take it back.
        """
        self.lent += 1
        while self._idle:
            lease = self._idle.pop()
            if not lease.driver.is_closed():
                return lease
            lease.pooled.invalidate()
        return Lease(await self._engine.raw_connection(), self._idle)

    def _count(self, more: int, _connection: object, _record: object) -> None:
        self.open += more

    @asynccontextmanager
    async def reserved(self) -> AsyncIterator[None]:
        """Make sure that the engine's pool can hand out a connection for the length of the block. Raises QueueFull."""
        async with self.turns:
            if self._idle:
                self._idle.pop().pooled.close()
            yield

    def close(self) -> None:
        """Give what is idle back to the engine's pool."""
        while self._idle:
            self._idle.pop().pooled.close()

"""Looks at every connection of a worker twice a second, so that no request has to set a timer.

What is not sent yet stays below MAX_UNSENT_BYTES in all, and hostile connections cannot fill the log.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

import structlog

from app.logs import AccessLine
from app.settings import Settings

INTERVAL: Final = 0.5
LINES: Final = 10
"""Refusals that are logged one by one in an interval; more of them are counted."""

logger = structlog.get_logger("app.http")


class Monitor:
    """What the connections of a worker share; `connections` are uvicorn's, `log` writes access lines."""

    def __init__(self, settings: Settings, connections: Iterable[Any], log: Callable[[AccessLine], None]) -> None:
        self._settings = settings
        self._connections = connections
        self._log = log
        self._paused: set[Any] = set()
        self._lines = 0
        self._counts: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """See to it that the connections are looked at while there are any."""
        if self._timer is None:
            self._timer = loop.call_later(INTERVAL, self._look, loop)

    def log(self, line: AccessLine) -> None:
        """Log a refusal, or count it where there are many."""
        self._lines += 1
        if self._lines <= LINES:
            self._log(line)
        else:
            self.count("refused, without a line of its own")

    def count(self, reason: str) -> None:
        """Count a connection that ends without an answer or a line."""
        self._counts[reason] += 1

    def pause(self, connection: Any) -> None:
        """Note that a client does not read as fast as is written, and make room for what is unsent.

        The client itself is spared: it has had no time to take anything.
        """
        self._paused.add(connection)
        self._bound_unsent(sum(paused.unsent for paused in self._paused), self._paused - {connection})

    def resume(self, connection: Any) -> None:
        """Note that a client has caught up, or is gone."""
        self._paused.discard(connection)

    def _bound_unsent(self, unsent: int, connections: Iterable[Any]) -> None:
        excess = unsent - self._settings.max_unsent_bytes
        if excess <= 0:
            return
        for connection in sorted(connections, key=lambda connection: (connection.transport.pace, -connection.unsent)):
            if excess > 0 and connection.unsent:
                excess -= connection.unsent
                connection.cut_off("too much unsent")

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        connections = tuple(self._connections)
        self._bound_unsent(sum(connection.look(now) for connection in connections), connections)
        for reason, number in self._counts.items():
            logger.warning("connections ended", reason=reason, connections=number)
        self._counts.clear()
        self._lines = 0
        if self._connections:
            self.watch(loop)

"""Counts of one process. What is remembered is bounded, whoever sends what: see CAPACITY.

The memory storage of the library `limits` starts a thread, or a task, for a sweep over all keys every few milliseconds,
and keeps a lock and a date for each.
"""

from collections.abc import Sequence
from time import monotonic
from typing import Final

from app.quotas import Limit
from app.ratelimit.standing import Standing, standing

CAPACITY: Final = 87_000
"""Keys of a window; one more ends it early. It is what a dict of 2^17 places holds before it doubles: with two windows
and 32 bytes each for key and count, a limit takes 17 MB at most."""

HASH_BITS: Final = 2**60 - 1
"""Hashes are keyed anew for each process, so that nobody can choose whose count to share. 60 bits take 32 bytes."""


class Window:
    """The counts of this window, and of the one before, which then still overlaps."""

    __slots__ = ("_before", "_counts", "_ends", "_limit")

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._before: dict[int, int] = {}
        self._counts: dict[int, int] = {}
        self._ends = 0.0

    def hit(self, key: str) -> Standing:
        """Count a request, if there is room for it."""
        now = monotonic()
        if now >= self._ends or len(self._counts) >= CAPACITY:
            self._turn(now)
        amount, seconds = self._limit
        number = hash(key) & HASH_BITS
        before, count = self._before.get(number, 0), self._counts.get(number, 0)
        left = self._ends - now
        used = before * left / seconds + count
        if used >= amount:
            return standing(self._limit, False, before, count, left)
        self._counts[number] = count + 1
        remaining = amount - 1 - int(used)
        if remaining > 0:  # as `standing` would say, without the call
            return True, remaining, int(left) + 1
        return standing(self._limit, True, before, count + 1, left)

    def _turn(self, now: float) -> None:
        seconds = self._limit.seconds
        self._before = self._counts if now < self._ends + seconds else {}
        self._counts = {}
        if now >= self._ends:
            self._ends = now - now % seconds + seconds


class MemoryCounts:
    """The windows of all limits."""

    def __init__(self) -> None:
        self._windows: dict[str, Window] = {}

    def counter(self, limits: dict[str, Limit]) -> "MemoryCounter":
        """Return what counts in each of these limits; one name is one window."""
        return MemoryCounter([self._windows.setdefault(name, Window(limit)) for name, limit in limits.items()])

    async def open(self) -> None:
        """Be ready."""

    async def close(self) -> None:
        """Forget all."""
        self._windows.clear()


class MemoryCounter:
    """Counts a request in some of the windows."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self._windows = windows
        self.only = windows[0].hit if len(windows) == 1 else None
        """Does the same where there is one limit, as for most requests."""

    def at_once(self, key: str) -> Sequence[Standing]:
        """Return where the key stands in each, without ever waiting: a coroutine would cost more than the count."""
        return [window.hit(key) for window in self._windows]

    async def __call__(self, key: str) -> Sequence[Standing]:
        """Return the same."""
        return self.at_once(key)

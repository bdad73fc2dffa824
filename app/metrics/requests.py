"""Counts what access lines describe: each request once, by method, route and status."""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import UNSET

from app.logs import AccessLine
from app.metrics.durations import BOUNDS, Series, new_series

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER: Final = "other"
"""Stands for every other method, and for that of a request which was refused before anybody read it."""

UNMATCHED: Final = "unmatched"
"""Stands for the route of a request whose path is none."""

MILLISECONDS: Final = tuple(bound * 1000 for bound in BOUNDS)

MANY: Final = 256
"""Counted at once they cost a third each of what one costs in the middle of a request, where nothing is at hand."""

Key = tuple[str, str | None, int]


class RequestCounts:
    """Durations in milliseconds by the labels method, route and status; problems by code, `codes` from 0 on.

    Those that are `unmeasured` are in neither: how long a stream lasts says nothing of how fast anything is.
    """

    def __init__(self, codes: Iterable[str], unmeasured: Iterable[Key] = ()) -> None:
        self.durations: dict[tuple[str, ...], Series] = {}
        self.problems = dict.fromkeys(sorted(codes), 0)
        self._by_key: dict[Key, Series] = {key: new_series() for key in unmeasured}
        self._lines: list[AccessLine] = []

    def observing(
        self, write: Callable[[AccessLine], None], many: Callable[[], None] | None = None
    ) -> Callable[[AccessLine], None]:
        """Return what takes note of a line and hands it on; `many` is called when MANY are to be counted."""
        lines, count = self._lines, many or self.count

        def observe(line: AccessLine) -> None:
            lines.append(line)
            if len(lines) >= MANY:
                count()
            write(line)

        return observe

    def count(self) -> None:
        """Count the lines since."""
        by_key, problems = self._by_key, self.problems
        for line in self._lines:
            key = (line.method, line.route, line.status)
            series = by_key.get(key)
            if series is None:
                series = by_key[key] = self._series_of(*key)
            milliseconds = line.duration_ms
            series[bisect_left(MILLISECONDS, milliseconds)] += 1
            series[-1] += milliseconds
            if (code := line.code) is not UNSET:
                problems[code] = problems.get(code, 0) + 1
        self._lines.clear()

    def _series_of(self, method: str, route: str | None, status: int) -> Series:
        labels = (method if method in METHODS else OTHER, route or UNMATCHED, str(status))
        return self.durations.setdefault(labels, new_series())

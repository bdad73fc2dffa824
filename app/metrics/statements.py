"""Counts what the database was asked: each statement and transaction once, by its name."""

from bisect import bisect_left

from app.db.observation import Execution
from app.db.observers import Observer
from app.metrics.durations import BOUNDS, Series, new_series


class StatementCounts:
    """Durations in seconds and numbers of statements by the label statement, their name."""

    def __init__(self) -> None:
        self.durations: dict[tuple[str, ...], Series] = {}
        self.waits: dict[tuple[str, ...], Series] = {(): new_series()}
        self.retries: dict[str, int] = {}
        self.failures: dict[str, int] = {}
        self.unknown: dict[str, int] = {}
        self._by_name: dict[str, Series] = {}
        self._ended: list[Execution] = []
        self.observe: Observer = self._ended.append
        """Take note of one that has ended; it is counted with the next ones."""

    def count(self) -> None:
        """Count those that have ended since."""
        waits, by_name = self.waits[()], self._by_name
        for execution in self._ended:
            outcome = execution.outcome
            if outcome == "refused":  # nobody waited, and nothing was sent
                continue
            name = execution.name
            series = by_name.get(name) or self._begin(name)
            seconds = execution.waited
            waits[bisect_left(BOUNDS, seconds)] += 1
            waits[-1] += seconds
            if seconds := execution.took:
                series[bisect_left(BOUNDS, seconds)] += 1
                series[-1] += seconds
            if execution.retries:
                self.retries[name] += execution.retries
            if outcome == "failed":
                self.failures[name] += 1
            elif outcome == "unknown":
                self.unknown[name] += 1
        self._ended.clear()

    def _begin(self, name: str) -> Series:
        """Count from 0, so that the first failure is one more than before."""
        for counts in (self.retries, self.failures, self.unknown):
            counts[name] = 0
        series = self._by_name[name] = self.durations[name,] = new_series()
        return series

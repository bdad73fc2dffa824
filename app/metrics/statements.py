"""Counts what the database was asked: each statement and transaction once, by its name."""

from collections.abc import Callable
from typing import Protocol

from app.metrics.durations import Series, new_series, observe


class Execution(Protocol):
    """What is looked at of an execution; app/db/observation.py says what it means."""

    name: str
    waited: float
    took: float
    retries: int
    outcome: str
    lent: bool


class StatementCounts:
    """Durations in seconds and numbers of statements by the label statement, its name."""

    def __init__(self) -> None:
        self.durations: dict[tuple[str, ...], Series] = {}
        self.waits: dict[tuple[str, ...], Series] = {(): new_series()}
        self.retries: dict[str, int] = {}
        self.failures: dict[str, int] = {}
        self.unknown: dict[str, int] = {}

    def observer(self) -> Callable[[Execution], None]:
        """Return what is to be told of each execution."""
        durations, waits = {name: series for (name,), series in self.durations.items()}, self.waits[()]

        def count(execution: Execution) -> None:
            if not execution.lent:  # nothing was sent
                return
            name = execution.name
            series = durations.get(name)
            if series is None:
                series = durations[name] = self._begin(name)
            observe(series, execution.took)
            observe(waits, execution.waited)
            if execution.retries:
                self.retries[name] += execution.retries
            if execution.outcome == "failed":
                self.failures[name] += 1
            elif execution.outcome == "unknown":
                self.unknown[name] += 1

        return count

    def _begin(self, name: str) -> Series:
        """Count from 0, so that the first failure is one more than before."""
        for counts in (self.retries, self.failures, self.unknown):
            counts[name] = 0
        return self.durations.setdefault((name,), new_series())

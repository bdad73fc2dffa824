"""What a worker counts, in plain Python, and leaves for Prometheus once a second: no request waits for a library."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from app.db.observers import Observer
from app.logs import AccessLine
from app.metrics import families, processes
from app.metrics.families import Family
from app.metrics.requests import Key, RequestCounts
from app.metrics.statements import StatementCounts

if TYPE_CHECKING:
    from app.metrics.files import Files

INTERVAL: Final = 1.0
"""Seconds between the moments at which numbers are left; whoever kills a worker loses what it has counted since."""

MILLISECOND: Final = 1e-3

logger = structlog.get_logger("app.metrics")


class WorkerMetrics:
    """Numbers of one process, for the scrapes of `directory`; `codes` are those that problems may have."""

    def __init__(self, directory: str, codes: Iterable[str], unmeasured: Iterable[Key] = ()) -> None:
        self._directory = Path(directory)
        self._requests = RequestCounts(codes, unmeasured)
        self._statements = StatementCounts()
        self._counters: list[tuple[Family, Mapping[str, float]]] = [(families.PROBLEMS, self._requests.problems)]
        self._readings: list[tuple[Family, tuple[str, ...], Callable[[], float]]] = []
        self._files: Files | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failed = False

    def counting(self, write: Callable[[AccessLine], None]) -> Callable[[AccessLine], None]:
        """Return what counts an access line and hands it on."""
        return self._requests.observing(write, self._count)

    @property
    def observer(self) -> Observer:
        """What counts what the database was asked."""
        return self._statements.observe

    def follow(self, family: Family, counts: Mapping[str, float]) -> None:
        """Leave what somebody else counts, by the value of the only label."""
        self._counters.append((family, counts))

    def show(self, family: Family, reading: Callable[[], float], *labels: str) -> None:
        """Leave what one number is at that moment."""
        self._readings.append((family, labels, reading))

    async def start(self) -> None:
        """Leave numbers from now on; needs a running event loop."""
        from app.metrics.files import Files  # noqa: PLC0415 - who has metrics off does without the library

        self._files = Files(self._directory, processes.identity())
        self._publish(asyncio.get_running_loop())

    async def stop(self) -> None:
        """Leave the last numbers."""
        if self._timer is not None:
            self._timer.cancel()
        if self._files is not None:
            self._write(self._files)
            self._files.close()
            self._files = None

    def _publish(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(INTERVAL, self._publish, loop)
        if self._files is not None:
            try:
                self._write(self._files)
            except OSError as error:  # the disk is full, and may not be later
                if not self._failed:
                    logger.warning("metrics cannot be written", error=type(error).__name__)
                self._failed = True

    def _count(self) -> None:
        self._requests.count()
        self._statements.count()

    def _write(self, files: "Files") -> None:
        """Write requests last: who sees one of them counted sees everything of it."""
        self._count()
        files.write_durations(families.STATEMENTS, self._statements.durations)
        files.write_durations(families.WAITS, self._statements.waits)
        files.write_counts(families.RETRIES, self._statements.retries)
        files.write_counts(families.FAILURES, self._statements.failures)
        files.write_counts(families.UNKNOWN, self._statements.unknown)
        for family, counts in self._counters:
            files.write_counts(family, counts)
        for family, labels, reading in self._readings:
            files.write(family, labels, reading())
        files.write_durations(families.REQUESTS, self._requests.durations, unit=MILLISECOND)

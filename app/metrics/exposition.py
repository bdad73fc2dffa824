"""Answers Prometheus: sums over all workers, and what each of them uses, asked of the system when somebody asks us.

No event loop is held up: with several workers this runs in their parent, with one in a thread.
"""

import asyncio
import platform
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from app.metrics import ended, processes
from app.settings import VERSION

BUILD: Final = {"version": VERSION, "python_version": platform.python_version()}


class Exposition(Collector):
    """Everything that there is to tell about the workers that leave their numbers in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._scraping = threading.Lock()
        self._migrations: list[Metric] = []

    def collect(self) -> Iterable[Metric]:
        """Return every metric, in prometheus-client's form of a collector."""
        with self._scraping:  # a worker that has ended is put to the others by one scrape, and read by none meanwhile
            for worker in ended.workers(self._directory):
                if processes.has_ended(worker):
                    ended.bury(self._directory, worker)
            counted = [*MultiProcessCollector(None, str(self._directory)).collect()]
            return [*counted, *self._used(), *self._migrations, InfoMetricFamily("tasks_build", "What runs.", BUILD)]

    @contextmanager
    def migrating(self) -> Iterator[None]:
        """Take the time that the migrations of a start take, after which none is pending."""
        began = time.monotonic()
        yield
        help_ = "Time that migrations took when the service started."
        self._migrations = [GaugeMetricFamily("tasks_migrations_seconds", help_, time.monotonic() - began)]
        self._note_pending(0)

    def ask_for_pending(self, pending: Callable[[], Coroutine[Any, Any, int]]) -> None:
        """Ask once, in a thread of its own, how many migrations the database lacks; nothing waits for the answer."""

        def ask() -> None:
            with suppress(Exception):  # the role may not ask, or the database is away: then nobody can tell
                self._note_pending(asyncio.run(pending()))

        threading.Thread(target=ask, daemon=True).start()

    def _note_pending(self, number: int) -> None:
        help_ = "Migrations that the database lacked when the service had started."
        self._migrations.append(GaugeMetricFamily("tasks_migrations_pending", help_, number))

    def _used(self) -> Iterable[Metric]:
        memory = GaugeMetricFamily(
            "tasks_worker_resident_memory_bytes", "Memory of a worker that is in use.", labels=["pid"]
        )
        cpu = CounterMetricFamily("tasks_worker_cpu_seconds", "Processor time of a worker.", labels=["pid"])
        started = GaugeMetricFamily(
            "tasks_worker_start_time_seconds", "Moment at which a worker started, since 1970.", labels=["pid"]
        )
        for worker in sorted(ended.workers(self._directory)):
            if process := processes.living(worker):
                labels = [worker.partition("-")[0]]
                memory.add_metric(labels, process.resident_bytes)
                cpu.add_metric(labels, process.cpu_seconds)
                started.add_metric(labels, processes.started_at(process))
        return memory, cpu, started


@contextmanager
def answering(exposition: Exposition, host: str, port: int) -> Iterator[None]:
    """Answer at /metrics for the length of the block. Raises OSError."""
    registry = CollectorRegistry()
    registry.register(exposition)
    server, thread = start_http_server(port, host, registry)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

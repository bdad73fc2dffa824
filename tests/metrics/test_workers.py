"""Workers come and go; what they have counted stays."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings import Settings
from tests.metrics.conftest import DURATION, watched
from tests.metrics.scrapes import Scrape
from tests.processes import START_SECONDS, copied_project, until

LIMIT = "tasks_database_connections_limit"


@pytest.fixture
def folder() -> Iterator[Path]:
    with copied_project() as folder:
        yield folder


def pids(scrape: Scrape) -> set[int]:
    return {int(pid) for pid in scrape.values("tasks_worker_resident_memory_bytes", "pid")}


def test_killed_worker_leaves_its_counts_and_no_gauge(folder: Path, tmp_path: Path, settings: Settings) -> None:
    numbers = tmp_path / "numbers"
    numbers.mkdir()
    (numbers / "counter_1-1.db").write_bytes(b"of an earlier run")
    (numbers / "notes").touch()
    service = watched(folder, settings, workers=2, DATABASE_POOL_SIZE="3", PROMETHEUS_MULTIPROC_DIR=str(numbers))
    for _ in range(20):
        assert service.ask("GET", "/health").status_code == 200
    before = service.scrape()
    killed = service.server.worker_ids[0]
    assert pids(before) == {*service.server.worker_ids}
    assert before.sum(LIMIT) == 2 * 3

    os.kill(service.server.worker_ids[1], signal.SIGSTOP)  # so that nobody but the parent does anything
    os.kill(killed, signal.SIGKILL)
    until(lambda: killed not in pids(service.scrape()), 30)
    assert service.scrape().sum(f"{DURATION}_count", route="/health") == 20
    os.kill(service.server.worker_ids[1], signal.SIGCONT)

    until(lambda: len(pids(Scrape.of(service.port))) == 2, START_SECONDS)  # another one is there
    after = service.scrape()
    assert after.sum(LIMIT) == 2 * 3
    assert after.sum("tasks_tokens_total") == 0
    assert pids(after) == {*service.server.worker_ids} - {killed}
    assert not [*numbers.glob(f"*_{killed}-*")]

    assert service.server.terminate() in {0, -signal.SIGTERM}
    assert [path.name for path in numbers.iterdir()] == ["notes"]


def test_counts_outlive_a_restart_for_new_code_to_the_last_one(folder: Path, settings: Settings) -> None:
    service = watched(folder, settings, options=["--reload"])
    assert service.ask("GET", "/health").status_code == 200
    before = pids(service.scrape())
    (folder / "app" / "quotas.py").touch()
    until(lambda: service.server.output.count("Application startup complete") == 2, START_SECONDS)
    until(lambda: not before & pids(Scrape.of(service.port)), 30)
    assert service.scrape().sum(LIMIT) == 10

    for _ in range(5):
        assert service.ask("GET", "/health").status_code == 200
    [worker] = pids(Scrape.of(service.port))
    os.kill(worker, signal.SIGTERM)  # mostly before it has left these by itself
    until(lambda: not pids(Scrape.of(service.port)), 30)
    after = service.scrape()
    assert after.sum(f"{DURATION}_count", route="/health") == 6
    assert LIMIT not in after.names()
    assert service.server.terminate() in {0, -signal.SIGTERM}

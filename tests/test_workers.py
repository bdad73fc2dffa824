"""`litestar run` with several workers, of which one is killed or whose start is given up."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import workers
from app.settings import Settings
from tests.processes import START_SECONDS, Server, copied_project, until

AT_ONCE = 15
"""Seconds, on a busy machine; a parent that waits for the answer of a killed worker takes twice as long."""


@pytest.fixture
def two(settings: Settings) -> Iterator[Server]:
    """A server with two workers."""
    with copied_project() as folder:
        variables = {"DATABASE_URL": settings.database_url, "BETTER_AUTH_SECRET": settings.better_auth_secret}
        yield Server(folder, port=None, workers=2, options=(), **variables).serving()


def test_a_worker_that_is_killed_while_its_parent_waits_for_its_answer_is_replaced_at_once(two: Server) -> None:
    worker = two.worker_ids[0]
    os.kill(worker, signal.SIGSTOP)
    time.sleep(1)  # within half a second it is asked whether it is alive, and cannot answer
    assert f"Child process [{worker}] died" not in two.output
    os.kill(worker, signal.SIGKILL)
    until(lambda: f"Child process [{worker}] died" in two.output, AT_ONCE)
    until(lambda: len(two.worker_ids) == 3, START_SECONDS)
    assert two.terminate() in {0, -signal.SIGTERM}


def test_ctrl_c_before_the_workers_are_there_is_an_ordinary_end_that_leaves_no_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "socket"

    def interrupted(supervisor: workers.Workers) -> None:
        assert path.is_socket()
        for each in supervisor.sockets:
            each.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(workers.Workers, "run", interrupted)
    workers.run("app.asgi:worker", uds=str(path), workers=2, log_config=None)
    assert not path.exists()

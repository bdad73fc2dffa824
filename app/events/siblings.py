"""Lets the workers of one `litestar run` notice each other's writes, through memory that all of them see.

It says that something was written, not what: whoever has streams then asks the database once. Each worker counts its
writes in a place of its own, so none can hide what another one says, and a write costs the change of one number.

The memory belongs to the parent process and is gone with it. Only Linux has such memory; elsewhere workers of one host
notice as much of each other as those of different hosts.
"""

import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from struct import Struct
from typing import Final, Protocol

import structlog

from app.settings import handed_down, handing_down

VARIABLE: Final = "SIBLINGS_MEMORY"
"""Where the memory is, for the workers; nobody else sets it."""

NUMBER: Final = Struct("=Q")
PLACES: Final = 512

logger = structlog.get_logger("app.events")


class Told(Protocol):
    """Is told of writes: each user's revision, or the last one of a user who was erased."""

    def moved(self, user_id: str, revision: int) -> object: ...

    def erased(self, user_id: str, revision: int) -> object: ...


@contextmanager
def introduced(workers: int) -> Iterator[None]:
    """Let workers that are started in the block notice each other's writes."""
    if workers == 1 or not hasattr(os, "memfd_create"):
        yield
        return
    memory = os.memfd_create("siblings")
    try:
        os.ftruncate(memory, PLACES * NUMBER.size)
        with handing_down(VARIABLE, f"/proc/{os.getpid()}/fd/{memory}"):
            yield
    finally:
        os.close(memory)


class Siblings:
    """Notes each write of this worker for the others, passes it on to `told`, and tells whether others have written."""

    def __init__(self, path: str, told: Told) -> None:
        """Raise OSError where the memory is not there, or every place in it is taken."""
        self._told = told
        self._file = os.open(path, os.O_RDWR)
        try:
            self._start = self._place()
            self._memory = mmap.mmap(self._file, PLACES * NUMBER.size)
        except OSError:
            os.close(self._file)
            raise
        (self._count,) = NUMBER.unpack_from(self._memory, self._start)  # of the one who had this place before
        self._seen = b""
        self.note()  # that one may have been killed before it could tell of its last write

    def _place(self) -> int:
        """Take a place that nobody has; the lock on it ends with this process."""
        for start in range(0, PLACES * NUMBER.size, NUMBER.size):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, NUMBER.size, start)
            except (BlockingIOError, PermissionError):
                continue
            return start
        raise BlockingIOError

    def note(self) -> None:
        """Have all others ask once."""
        self._count += 1
        NUMBER.pack_into(self._memory, self._start, self._count)

    def moved(self, user_id: str, revision: int) -> None:
        """Tell of a write of this worker."""
        self.note()
        self._told.moved(user_id, revision)

    def erased(self, user_id: str, revision: int) -> None:
        """Tell of an erasure by this worker; `revision` was the user's last one."""
        self.note()
        self._told.erased(user_id, revision)

    def have_written(self) -> bool:
        """Tell whether another worker has written since this was asked before."""
        others = self._memory[: self._start] + self._memory[self._start + NUMBER.size :]
        before, self._seen = self._seen, others
        return others != before

    def leave(self) -> None:
        """Give the place to the next one."""
        self._memory.close()
        os.close(self._file)


def join(told: Told) -> Siblings | None:
    """Return what connects this process with its siblings, where `litestar run` has introduced them."""
    path = handed_down(VARIABLE)
    if path is None:
        return None
    try:
        return Siblings(path, told)
    except OSError as error:
        logger.warning("workers do not notice each other's writes", error=type(error).__name__)
        return None

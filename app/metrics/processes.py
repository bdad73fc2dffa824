"""What Linux tells of a process in /proc; elsewhere nobody can tell, and there is nothing to show."""

import os
import time
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

PROC: Final = Path("/proc")
ZOMBIE: Final = "Z"


class Process(NamedTuple):
    """One that runs: when it began, in ticks since the machine did, and what it has used in seconds and bytes."""

    began: int
    cpu_seconds: float
    resident_bytes: int


def identity() -> str:
    """Return a name of this process that no other gets before the machine starts again: ids of processes return."""
    number = os.getpid()
    found = look(number)
    return f"{number}-{found.began if found else 0}"


def look(number: int) -> Process | None:
    """Return what the process with this id has used, or None if there is none (proc_pid_stat(5))."""
    try:
        fields = (PROC / str(number) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, user, system, began, pages = fields[0], fields[11], fields[12], fields[19], fields[21]
    if state == ZOMBIE:
        return None
    ticks = os.sysconf("SC_CLK_TCK")
    return Process(int(began), (int(user) + int(system)) / ticks, int(pages) * os.sysconf("SC_PAGE_SIZE"))


def living(identity: str) -> Process | None:
    """Return the process that once called itself so, or None if it has ended."""
    number, _, began = identity.partition("-")
    found = look(int(number))
    return found if found and found.began == int(began) else None


def has_ended(identity: str) -> bool:
    """Tell whether the process that once called itself so has ended."""
    if look(os.getpid()):
        return living(identity) is None
    try:
        os.kill(int(identity.partition("-")[0]), 0)
    except OSError:
        return True
    return False


def started_at(process: Process) -> float:
    """Return the moment at which a process of Linux began, in seconds since 1970; the same each time."""
    return _boot() + process.began / os.sysconf("SC_CLK_TCK")


@cache
def _boot() -> float:
    """Return when the machine started; a sandbox may hide /proc/stat, which says so too."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)

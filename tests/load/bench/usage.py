"""Processor time and memory of a process with all of its descendants, the ended ones included."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import psutil  # type: ignore[import-untyped]

from tests.load.bench.wrk import Load

MEBIBYTE: Final = 2**20
LONGEST_WAIT: Final = 10
"""Seconds to have patience with whoever a busy machine keeps from answering, or from coming to rest."""

Clock = TypeVar("Clock")


async def around(
    run: Callable[[float], Awaitable[Load]], seconds: float, clock: Callable[[], Clock]
) -> tuple[Clock, Load, Clock]:
    """Return what `clock` said before a load of so many seconds, the load, and what it said after."""
    while True:
        before = clock()
        load = await run(seconds)
        after = clock()
        if (load.requests and after != before) or seconds > LONGEST_WAIT:
            return before, load, after
        seconds *= 4  # a busy machine, and not one answer in so short a time, or not one tick of its clock


def cpu_seconds(root: int) -> float:
    """Sum user and system time; a parent holds that of the children it has waited for."""
    seconds: float = sum(
        times.user + times.system + times.children_user + times.children_system
        for times in (_asked(process, "cpu_times") for process in _tree(root))
        if times is not None
    )
    return seconds


def resident_mebibytes(root: int) -> float:
    """Sum the resident sets; what workers share counts once for each of them."""
    mebibytes: float = sum(
        memory.rss / MEBIBYTE
        for memory in (_asked(process, "memory_info") for process in _tree(root))
        if memory is not None
    )
    return mebibytes


def _tree(root: int) -> list[Any]:
    process = psutil.Process(root)
    return [process, *process.children(recursive=True)]


def _asked(process: Any, question: str) -> Any:
    with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
        return getattr(process, question)()

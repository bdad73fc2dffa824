"""Processor time and memory of a process with all of its descendants, the ended ones included."""

from contextlib import suppress
from typing import Any, Final

import psutil  # type: ignore[import-untyped]

MEBIBYTE: Final = 2**20


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

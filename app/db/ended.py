"""Ends what awaits the database on SIGTERM, by cancelling it."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def by_sigterm() -> Iterator[None]:
    """Let SIGTERM cancel the running task, and call what handled the signal before once the block has ended.

    A handler raises wherever the signal finds the process. In the midst of the driver's compiled code, what it raises
    may be lost, and the task then waits on, or crash the process. Without a handler the system ends it, as ever.
    """
    before = signal.getsignal(signal.SIGTERM)
    if not callable(before):
        yield
        return
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - one is running
    received = False

    def receive(*_: Any) -> None:
        nonlocal received
        received = True
        loop.call_soon_threadsafe(task.cancel)

    signal.signal(signal.SIGTERM, receive)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if received:
            signal.raise_signal(signal.SIGTERM)

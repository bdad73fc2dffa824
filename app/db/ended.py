"""Ends what awaits the database on SIGTERM, by cancelling it."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def by_sigterm() -> Iterator[None]:
    """Let SIGTERM cancel the running task, and call what handled the signal before once the block has ended.

    A handler raises wherever the signal finds the process: within a callback of the driver what it raises is lost, and
    with it the answer that the callback was taking in. Without a handler the system ends the process, as ever.
    """
    before = signal.getsignal(signal.SIGTERM)
    if not callable(before):
        yield
        return
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - one is running
    received: list[int] = []

    def receive(number: int, _frame: Any) -> None:
        received.append(number)
        loop.call_soon_threadsafe(task.cancel)

    signal.signal(signal.SIGTERM, receive)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if received:
            before(received[0], None)

"""What has to be sent before the process ends gets a moment for it, and no more."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Final

SECONDS: Final = 1.0
"""How long the end of a worker waits for somebody else's server."""


async def wait_for(work: Callable[[], None]) -> bool:
    """Run what blocks in a thread that does not keep the process alive; tell whether it ended within SECONDS."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def run() -> None:
        try:
            work()
        finally:
            with suppress(RuntimeError):  # the loop is closed: nobody has waited for so long
                loop.call_soon_threadsafe(ended.set)

    Thread(target=run, daemon=True).start()
    try:
        await asyncio.wait_for(ended.wait(), SECONDS)
    except TimeoutError:
        return False
    return True

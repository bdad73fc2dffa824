"""Whether this process still wants requests. At SIGTERM it says no first, and stops taking them a moment later."""

import asyncio
import signal
from typing import Any


class Lifecycle:
    """`draining` is true from SIGTERM on: load balancers are told, and connections end with their next answer."""

    def __init__(self) -> None:
        self.draining = False

    def drain_first(self, delay: float) -> None:
        """Let `delay` seconds pass between SIGTERM and the server's own handling of it; needs a running event loop.

        Whoever sends requests learns of the end later than the process does. A person's Ctrl-C is not delayed.
        """
        loop = asyncio.get_running_loop()
        stop: Any = signal.getsignal(signal.SIGTERM)

        def drain(number: int, frame: Any) -> None:
            self.draining = True
            loop.call_soon_threadsafe(loop.call_later, delay, stop, number, frame)

        signal.signal(signal.SIGTERM, drain)

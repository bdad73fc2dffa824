"""A fault, again and again, while everybody writes."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from tests.faults.ledger import Ledger
from tests.faults.service import Service
from tests.faults.writers import WRITERS, writing

CYCLE_SECONDS = 60
"""Far more than a cycle needs: what hangs for ever fails here."""


async def suffer(
    fault: Callable[[], Awaitable[None]], *, service: Service, cycles: int, writes: int
) -> tuple[Ledger, float]:
    """Repeat a fault while everybody writes; return the ledger and the longest time that some writer then waited."""
    recovery = 0.0
    async with asyncio.timeout(CYCLE_SECONDS * cycles), writing(service) as ledger:
        for _ in range(cycles):
            await ledger.more(writes)
            await fault()
            recovery = max(recovery, await ledger.everybody(WRITERS, since=time.monotonic()))
    return ledger, recovery


def summary(name: str, ledger: Ledger, recovery: float, cycles: int) -> str:
    answers = ", ".join(f"{code}: {count}" for code, count in sorted(ledger.answers.items()))
    return (
        f"{name}: {cycles} cycles, {ledger.total} writes acknowledged; slowest answer {ledger.slowest:.2f} s, "
        f"longest recovery {recovery:.2f} s; {answers}"
    )

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.settings import Settings
from tests.faults.audit import audit
from tests.faults.cluster import Cluster
from tests.faults.ledger import Ledger
from tests.faults.scale import Scale
from tests.faults.service import Service
from tests.faults.writers import WRITERS, writing

RECOVERY_SECONDS = 2
CYCLE_SECONDS = 60
"""Far more than a cycle needs: what hangs for ever fails here."""

Report = Callable[[str], None]


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
    answers = ", ".join(f"{count} × {code}" for code, count in sorted(ledger.answers.items()))
    return (
        f"{name}: {cycles} cycles, {ledger.total} writes acknowledged; slowest answer {ledger.slowest:.2f} s, "
        f"longest recovery {recovery:.2f} s; {answers}"
    )


@pytest.mark.parametrize("fault", [Cluster.restart, Cluster.terminate_backends])
async def test_a_database_that_fails_costs_no_acknowledged_write_and_no_other_answer_than_503(
    fault: Callable[[Cluster], Awaitable[None]],
    cluster: Cluster,
    settings: Settings,
    folder: Path,
    scale: Scale,
    report: Report,
) -> None:
    service = await Service(folder, settings, workers=2).start()
    ledger, recovery = await suffer(
        lambda: fault(cluster), service=service, cycles=scale.cycles, writes=scale.writes
    )
    report(summary(fault.__name__, ledger, recovery, scale.cycles))
    assert not await audit(ledger, service)
    assert not ledger.unanswered
    assert recovery <= RECOVERY_SECONDS
    assert await cluster.connections(settings.database_url, "idle in transaction%") == 0


async def test_a_server_that_is_killed_loses_no_acknowledged_write(
    settings: Settings, folder: Path, scale: Scale, report: Report
) -> None:
    service = await Service(folder, settings).start()

    async def kill_and_start() -> None:
        await service.kill()
        await service.start()

    ledger, recovery = await suffer(kill_and_start, service=service, cycles=scale.cycles, writes=scale.writes)
    report(summary("SIGKILL", ledger, recovery, scale.cycles))
    assert not await audit(ledger, service)
    assert recovery <= RECOVERY_SECONDS


async def test_a_server_that_is_terminated_answers_whatever_it_was_sent_before(
    settings: Settings, folder: Path, scale: Scale, report: Report
) -> None:
    """A request that comes on a kept-alive connection later may meet its end, as with every HTTP/1.1 server."""
    service = await Service(folder, settings).start()
    signals: list[tuple[float, float]] = []

    async def terminate_and_start() -> None:
        signalled = time.monotonic()
        assert await service.terminate() == 0
        signals.append((signalled, time.monotonic()))
        await service.start()

    ledger, recovery = await suffer(terminate_and_start, service=service, cycles=scale.cycles, writes=scale.writes)
    slowest = max(exited - signalled for signalled, exited in signals)
    report(summary(f"SIGTERM (exit within {slowest:.2f} s)", ledger, recovery, scale.cycles))
    assert not await audit(ledger, service)
    assert recovery <= RECOVERY_SECONDS
    assert all(any(signalled <= sent <= exited for signalled, exited in signals) for sent in ledger.unanswered)

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.settings import Settings
from tests.faults.audit import audit
from tests.faults.cluster import Cluster
from tests.faults.cycles import suffer, summary
from tests.faults.scale import Scale
from tests.faults.service import Service


@pytest.mark.parametrize("fault", [Cluster.restart, Cluster.terminate_backends])
async def test_a_database_that_fails_costs_no_acknowledged_write_and_no_other_answer_than_503(
    fault: Callable[[Cluster], Awaitable[None]],
    cluster: Cluster,
    standing: Service,
    scale: Scale,
    report: Callable[[str], None],
) -> None:
    ledger, recovery = await suffer(lambda: fault(cluster), service=standing, cycles=scale.cycles, writes=scale.writes)
    report(summary(fault.__name__, ledger, recovery, scale.cycles))
    assert not await audit(ledger, standing)
    assert not ledger.unanswered
    assert recovery <= scale.recovery_seconds
    assert "idle in transaction" not in await cluster.connections(standing.settings.database_url)


async def test_a_server_that_is_killed_loses_no_acknowledged_write(
    settings: Settings, folder: Path, scale: Scale, report: Callable[[str], None]
) -> None:
    service = await Service(folder, settings).start()

    async def kill_and_start() -> None:
        await service.kill()
        await service.start()

    ledger, recovery = await suffer(kill_and_start, service=service, cycles=scale.cycles, writes=scale.writes)
    report(summary("SIGKILL", ledger, recovery, scale.cycles))
    assert not await audit(ledger, service)
    assert recovery <= scale.recovery_seconds


async def test_a_server_that_is_terminated_answers_whatever_it_was_sent_before(
    settings: Settings, folder: Path, scale: Scale, report: Callable[[str], None]
) -> None:
    """One that arrives in the moment in which the port closes may never be read, as with every HTTP/1.1 server."""
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
    assert recovery <= scale.recovery_seconds
    assert all(any(signalled <= sent <= exited for signalled, exited in signals) for sent in ledger.unanswered)

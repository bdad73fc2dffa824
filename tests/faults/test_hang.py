"""A database that neither answers nor closes its connections: a stalled disk, a lost network, a paused compute."""

import asyncio
from collections.abc import Callable

from tests.faults.audit import audit
from tests.faults.cluster import Cluster
from tests.faults.cycles import suffer, summary
from tests.faults.scale import Scale
from tests.faults.service import Service


async def test_a_database_that_hangs_is_503_within_the_deadline_and_no_write_is_lost(
    cluster: Cluster, standing: Service, scale: Scale, report: Callable[[str], None]
) -> None:
    async def hang() -> None:
        with cluster.frozen():
            await asyncio.sleep(scale.hang_seconds)

    ledger, recovery = await suffer(hang, service=standing, cycles=1, writes=scale.writes)
    report(summary(f"hang of {scale.hang_seconds} s", ledger, recovery, 1))
    assert not await audit(ledger, standing)
    assert not ledger.unanswered
    assert recovery <= scale.recovery_seconds
    assert "idle in transaction" not in await cluster.connections(standing.settings.database_url)

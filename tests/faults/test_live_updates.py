"""Live updates behind PgBouncer in transaction mode, where nothing can listen: workers ask, and are told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from app.settings import Settings
from tests.conftest import random_user
from tests.events.conftest import Device
from tests.events.following import write
from tests.faults import pooler
from tests.faults.cluster import Cluster
from tests.faults.service import Service

STREAMS = 6
WRITES = 12


@pytest.fixture
async def device(cluster: Cluster, settings: Settings, folder: Path) -> AsyncIterator[Device]:
    """One of two workers behind a pooler of the old kind, to which prepared statements mean nothing."""
    if not pooler.installed("1.18"):
        pytest.skip("PgBouncer 1.18 is missing: run .ci/pgbouncer")
    with pooler.pooled(cluster, "1.18", settings.database_url) as url:
        variables = {"DATABASE_URL": f"{url}&pgbouncer=true"}
        service = await Service(folder, settings, workers=2, **variables).start()
        async with AsyncExitStack() as stack:
            yield Device(service.server.url, settings, random_user(), stack)
        await service.kill()


async def test_every_stream_ends_with_the_last_revision(device: Device) -> None:
    streams = [await device.follow() for _ in range(STREAMS)]
    last = max(await asyncio.gather(*(write(device) for _ in range(WRITES))))
    for stream in streams:
        await stream.until_revision(last)
        assert stream.revisions == sorted(set(stream.revisions))
    with contextlib.suppress(ConnectionError):
        await device.http.aclose()

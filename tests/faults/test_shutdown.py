import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from app.settings import Settings
from tests.conftest import random_user
from tests.faults.client import Answer, Unanswered
from tests.faults.cluster import Cluster
from tests.faults.service import Service
from tests.wire import Relay, relayed

PATIENCE_SECONDS = 120
"""The start of a server included."""
TROUBLE = ("unexpected EOF", "reset by peer", "Broken pipe")
"""What PostgreSQL logs of clients that leave without a word."""


@asynccontextmanager
async def holding(
    settings: Settings, folder: Path, *, workers: int = 1, variables: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Relay, Service, asyncio.Task[Answer]]]:
    """Serve, with one accepted request whose statement is held back on its way to the database."""
    async with asyncio.timeout(PATIENCE_SECONDS), relayed(settings.database_url) as (relay, url):
        service = await Service(
            folder, replace(settings, database_url=url), workers=workers, **(variables or {})
        ).start()
        client = service.client(random_user())
        await client.request("GET", "/tasks")
        relay.flowing.clear()
        held = asyncio.create_task(client.request("POST", "/tasks", {"title": "x"}))
        await relay.held.wait()
        yield relay, service, held


@pytest.mark.parametrize("workers", [1, 2])
async def test_sigterm_turns_readiness_off_answers_what_was_accepted_and_closes_connections_cleanly(
    workers: int, cluster: Cluster, settings: Settings, folder: Path
) -> None:
    logged = len(cluster.log())
    variables = {"SHUTDOWN_DELAY": "5", "DATABASE_TIMEOUT": "30"}
    async with holding(settings, folder, workers=workers, variables=variables) as (relay, service, held):
        ending = asyncio.create_task(service.terminate())
        async with httpx.AsyncClient(base_url=service.server.url, timeout=30) as probe:
            while (ready := await probe.get("/ready")).status_code == 200:
                pass
            assert (ready.status_code, ready.json()["code"]) == (503, "shutting_down")
            assert "Retry-After" in ready.headers
            assert (await probe.get("/health")).status_code == 200  # until the load balancer has been told, too
        assert not ending.done()
        relay.flowing.set()
        answer = await held
        assert answer.status == 201
        assert answer.headers["connection"] == "close"
        assert await ending == 0
    assert not [line for line in cluster.log()[logged:].splitlines() if any(word in line for word in TROUBLE)]


async def test_a_request_that_never_ends_does_not_keep_the_process(settings: Settings, folder: Path) -> None:
    """By default, 1 s to be taken out of rotation and 8 s for accepted requests leave 1 s of the 10 for the rest."""
    patient, brief = {"DATABASE_TIMEOUT": "60"}, {"SHUTDOWN_DELAY": "0", "SHUTDOWN_TIMEOUT": "1"}
    async with holding(settings, folder, variables=patient | brief) as (_, service, held):
        signalled = time.monotonic()
        await service.terminate()
        assert time.monotonic() - signalled < 30
        with suppress(Unanswered):
            assert (await held).status == 503

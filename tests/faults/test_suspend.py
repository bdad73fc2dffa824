"""What Neon's autosuspend does to a pool: every connection ends while it is idle, and the next request comes later."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from app.settings import Settings
from tests.conftest import random_user
from tests.faults.cluster import Cluster
from tests.faults.service import Service
from tests.wire import relayed

CLIENTS = 10
REQUESTS = 50


async def visit(service: Service, requests: int) -> list[str]:
    """Read and write in turns, from several clients at once; return the statuses."""
    answers: list[str] = []

    async def client() -> None:
        client = service.client(random_user())
        for _ in range(requests // CLIENTS):
            write = len(answers) % 2
            asked = await client.request(*(("POST", "/tasks", {"title": "x"}) if write else ("GET", "/tasks")))
            answers.append(asked.code)
        client.close()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return answers


async def test_connections_that_the_database_ended_while_idle_cost_no_request(
    cluster: Cluster, standing: Service, report: Callable[[str], None]
) -> None:
    await visit(standing, REQUESTS)
    assert len(await cluster.connections(standing.settings.database_url)) > 2
    await cluster.terminate_backends()
    answers = await visit(standing, REQUESTS)
    report(f"idle pool ended by the database: {len(answers)} requests, {set(answers)}")
    assert set(answers) == {"200", "201"}


async def test_connections_that_were_cut_on_the_way_cost_no_request(
    settings: Settings, folder: Path, report: Callable[[str], None]
) -> None:
    async with relayed(settings.database_url) as (relay, url):
        service = await Service(folder, replace(settings, database_url=url), workers=2).start()
        await visit(service, REQUESTS)
        assert relay.connections > 2
        relay.cut()
        answers = await visit(service, REQUESTS)
        report(f"idle pool cut on the way: {len(answers)} requests, {set(answers)}")
        assert set(answers) == {"200", "201"}

"""Columns that change their type under load: prepared statements were planned for what is no longer there."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from app.settings import Settings
from tests.conftest import random_user
from tests.faults import pooler
from tests.faults.client import Client
from tests.faults.cluster import Cluster
from tests.faults.service import Service

CLIENTS = 10
WORKERS = 2
REQUESTS_BETWEEN = 200
CHANGES = [
    "ALTER TABLE users ALTER COLUMN revision TYPE numeric",
    "ALTER TABLE users ALTER COLUMN revision TYPE bigint",
    "ALTER TABLE tasks ALTER COLUMN title TYPE varchar(400)",
    "ALTER TABLE tasks ALTER COLUMN title TYPE text",
]


@pytest.fixture(params=["direct", "pooled"])
def url(request: pytest.FixtureRequest, cluster: Cluster, settings: Settings) -> Iterator[str]:
    if request.param == "direct":
        yield settings.database_url
        return
    if not pooler.installed("newer"):
        pytest.skip("PgBouncer 1.21 or newer is missing: run .ci/pgbouncer")
    with pooler.pooled(cluster, "newer", settings.database_url) as pooled:
        yield f"{pooled}&pgbouncer=true"


class Visitors:
    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()
        self.running = True

    async def visit(self, client: Client) -> None:
        while self.running:
            created = await client.request("POST", "/tasks", {"title": "x"})
            self.answers[created.code] += 1
            for path in ("/tasks", "", "/stats"):
                self.answers[(await client.request("GET", path)).code] += 1
        client.close()

    async def more(self, requests: int) -> None:
        wanted = self.answers.total() + requests
        while self.answers.total() < wanted:
            await asyncio.sleep(0.01)


async def test_a_type_that_changes_under_load_costs_each_worker_one_request_at_most(
    url: str, settings: Settings, folder: Path, request: pytest.FixtureRequest, report: Callable[[str], None]
) -> None:
    own = replace(settings, database_url=url)
    service = await Service(folder, own, workers=WORKERS, DATABASE_STATEMENTS="named").start()
    connection = await asyncpg.connect(settings.database_url)
    visitors = Visitors()
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        for _ in range(CLIENTS):
            tasks.create_task(visitors.visit(service.client(random_user())))
        for change in CHANGES:
            await visitors.more(REQUESTS_BETWEEN)
            await connection.execute(change)
        await visitors.more(REQUESTS_BETWEEN)
        visitors.running = False
    await connection.close()
    report(f"{len(CHANGES)} changes of type, {request.node.callspec.id}: {dict(visitors.answers)}")
    assert visitors.answers.keys() <= {"200", "201", "503 database_unavailable"}
    assert visitors.answers["503 database_unavailable"] <= len(CHANGES) * WORKERS

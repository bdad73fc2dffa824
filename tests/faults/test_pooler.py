"""PgBouncer in transaction mode with fewer server connections than clients, in front of two workers."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from app.settings import Settings
from tests.conftest import random_user
from tests.faults import pooler
from tests.faults.client import Answer, Client
from tests.faults.cluster import Cluster
from tests.faults.scale import Scale
from tests.faults.service import Service
from tests.wire import Relay, relayed

CLIENTS = 20
SENDERS = 8
WARM_UP = 200
SUCCESSES = {"200", "201", "204"}
ROUND_TRIPS = 1.1
"""One a request; and one for each statement that a connection meets for the first time."""
MORE = 1
"""Round trips of a batch beyond its four, on average: for the list afterwards, and for what connections meet first."""


@pytest.fixture
def pooled(kind: str, cluster: Cluster, settings: Settings) -> Iterator[str]:
    if not pooler.installed(kind):
        pytest.skip(f"PgBouncer {kind} is missing: run .ci/pgbouncer")
    with pooler.pooled(cluster, kind, settings.database_url) as url:
        yield url


@asynccontextmanager
async def serving(settings: Settings, folder: Path, url: str, statements: str) -> AsyncIterator[tuple[Relay, Service]]:
    async with relayed(url) as (relay, through):
        own = replace(settings, database_url=f"{through}&pgbouncer=true")
        yield relay, await Service(folder, own, workers=2, DATABASE_STATEMENTS=statements).start()


async def visit(client: Client, requests: int) -> Counter[str]:
    """Do what users do, on a task of its own."""
    answers: list[Answer] = []

    async def ask(method: str, path: str, body: Any = None) -> Answer:
        answers.append(await client.request(method, path, body))
        return answers[-1]

    while len(answers) < requests:
        created = await ask("POST", "/tasks", {"title": "x"})
        if created.status != 201:
            continue
        task = f"/tasks/{created.json()['id']}"
        await ask("GET", "/tasks")
        await ask("GET", task)
        await ask("PATCH", task, {"title": "y"})
        await ask("PATCH", f"{task}/complete")
        await ask("GET", "/stats")
        await ask("GET", "/tasks?status=completed&sort=title")
        await ask("DELETE", task)
    return Counter(answer.code for answer in answers)


async def spread(service: Service, clients: list[Client]) -> Counter[str]:
    """Connect to the workers in turn: while one is stopped, the others accept."""
    answers: Counter[str] = Counter()
    for turn, worker in enumerate(service.server.worker_ids):
        process = psutil.Process(worker)
        process.suspend()
        for client in clients[turn :: service.workers]:
            answers[(await client.request("GET", "/tasks")).code] += 1
        process.resume()
    return answers


async def visits(service: Service, requests: int) -> Counter[str]:
    clients = [service.client(random_user()) for _ in range(CLIENTS)]
    answers = await spread(service, clients)
    for visited in await asyncio.gather(*(visit(client, requests // CLIENTS) for client in clients)):
        answers += visited
    for client in clients:
        client.close()
    return answers


async def batches(service: Service, names: list[str]) -> int:
    """Send batches from several users at once, check that nothing came between what belongs together; count them."""
    clients = [service.client(random_user()) for _ in range(SENDERS)]

    async def send(client: Client) -> None:
        for name in names:
            operations = [{"op": "put", "uid": f"{name}-{n}", "data": {"title": name}} for n in range(10)]
            answer = await client.request("POST", "/tasks/batch", {"operations": operations})
            assert answer.status == 200, answer.body
            revisions = [result["task"]["revision"] for result in answer.json()["results"]]
            assert revisions == [*range(revisions[0], revisions[0] + 10)]
        assert len((await client.request("GET", "/tasks")).json()) == 10 * len(names)
        client.close()

    await asyncio.gather(*(send(client) for client in clients))
    return SENDERS * len(names)


@pytest.mark.parametrize(("kind", "statements"), [("1.18", "auto"), ("newer", "auto"), ("newer", "named")])
async def test_every_request_succeeds_in_one_round_trip(
    pooled: str,
    kind: str,
    statements: str,
    settings: Settings,
    folder: Path,
    scale: Scale,
    report: Callable[[str], None],
) -> None:
    async with serving(settings, folder, pooled, statements) as (relay, service):
        await visits(service, WARM_UP)
        relay.reset()
        answers = await visits(service, scale.requests)
        round_trips = relay.round_trips / answers.total()
        report(f"PgBouncer {kind}, {statements}: {round_trips:.3f} round trips a request, {dict(answers)}")
        assert not answers.keys() - SUCCESSES
        assert answers.total() >= scale.requests
        assert round_trips <= ROUND_TRIPS
        await batches(service, ["meets-it-1", "meets-it-2"])
        relay.reset()
        sent = await batches(service, ["batch-1", "batch-2", "batch-3", "batch-4"])
        assert relay.round_trips <= (4 + MORE) * sent


@pytest.mark.parametrize("kind", ["1.18"])
async def test_named_statements_are_given_up_where_the_pooler_keeps_none(
    pooled: str, settings: Settings, folder: Path, report: Callable[[str], None]
) -> None:
    async with serving(settings, folder, pooled, "named") as (_, service):
        await batches(service, ["batch-1", "batch-2"])
        answers = await visits(service, WARM_UP)
        report(f"PgBouncer 1.18, named: {dict(answers)}")
        assert not answers.keys() - SUCCESSES
        assert 1 <= service.server.output.count("set DATABASE_STATEMENTS=unnamed") <= service.workers

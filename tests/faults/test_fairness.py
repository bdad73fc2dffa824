"""One user with hundreds of connections beside another with one."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from app.auth.mint import mint
from app.settings import Settings
from tests.conftest import random_user
from tests.faults.client import Client
from tests.faults.load import Action, Order, Outcome, Times, load, times
from tests.faults.scale import Scale
from tests.faults.service import TOKEN_SECONDS, Service

FLOOD = 300
MODERATE = 32
FACTOR = 5
REFUSAL_SECONDS = 1
STARTED_SECONDS = 0.5
WRITES: Final[tuple[Action, ...]] = ("flip", "create")
EVERYTHING: Final[tuple[Action, ...]] = ("read", "change", *WRITES)
TOO_LATE = {"503 database_unavailable", "503 outcome_unknown"}
"""What a busy machine cannot do for the one with 300 connections within the deadline."""


async def flood(service: Service, clients: int, seconds: float, actions: tuple[Action, ...], *, pause: bool) -> Outcome:
    """Have one user send from so many connections."""
    user_id = random_user()
    client = service.client(user_id)
    task = (await client.request("POST", "/tasks", {"title": "x"})).json()
    client.close()
    token = mint(service.settings, user_id, TOKEN_SECONDS)
    tasks = [(token, task["id"])]
    return await load(Order(service.port, tasks, seconds, clients=clients, actions=actions, pause=pause))


async def visit(client: Client, seconds: float) -> tuple[Counter[str], Times]:
    """Read and write, one request after the other."""
    answers: Counter[str] = Counter()
    taken = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        created = await client.request("POST", "/tasks", {"title": "x"})
        rest = [("GET", "/tasks?limit=20"), ("GET", "/stats"), ("GET", "")]
        if created.status == 201:
            task = f"/tasks/{created.json()['id']}"
            rest += [("GET", task), ("PATCH", f"{task}/complete")]
        for answer in [created, *[await client.request(method, path) for method, path in rest]]:
            answers[answer.code] += 1
            taken.append(answer.seconds)
    return answers, times(taken)


async def test_a_user_with_300_connections_costs_no_other_user_an_answer(
    settings: Settings, folder: Path, scale: Scale, report: Callable[[str], None]
) -> None:
    service = await Service(folder, settings).start()
    client = service.client(random_user())
    await visit(client, STARTED_SECONDS)
    _, alone = await visit(client, scale.flood_seconds)
    flooding = asyncio.create_task(flood(service, FLOOD, scale.flood_seconds + 2 * STARTED_SECONDS, WRITES, pause=True))
    await asyncio.sleep(STARTED_SECONDS)
    answers, beside = await visit(client, scale.flood_seconds)
    flooded = await flooding
    client.close()
    report(
        f"{FLOOD} connections of one user: {flooded.counts}, refused within {flooded.refused.p99:.3f} s (p99); "
        f"another user: {dict(answers)}, p99 alone {alone.p99:.4f} s and beside them {beside.p99:.4f} s"
    )
    assert answers.keys() == {"200", "201"}
    assert flooded.counts["429 too_many_requests"]
    assert flooded.counts.keys() <= {"200", "201", "429 too_many_requests", *TOO_LATE}
    if scale.figures_count:
        assert flooded.refused.p99 <= REFUSAL_SECONDS
        assert beside.p99 <= FACTOR * alone.p99


@pytest.mark.parametrize("coalesce", ["true", "false"])
async def test_32_connections_of_one_user_are_refused_nothing(
    settings: Settings, folder: Path, scale: Scale, coalesce: str
) -> None:
    service = await Service(folder, settings, DATABASE_COALESCE=coalesce).start()
    outcome = await flood(service, MODERATE, scale.flood_seconds, EVERYTHING, pause=False)
    assert outcome.counts.keys() == {"200", "201"}

"""Accounts that are erased beside other requests, while the backends of the database come and go."""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from app.settings import Settings
from tests.conftest import random_user
from tests.faults.client import Client
from tests.faults.cluster import TERMINATE, fetch
from tests.faults.scale import Scale
from tests.faults.service import Service

CLIENTS = 12
PAUSE_SECONDS = 0.2
ROUNDS = 20
"""Further ones at most, where no backend happened to die during an erasure."""

STATEMENTS = "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
PREPARED_ANEW = re.compile(r"/\* \d+ \*/")
"""What stands in each statement after the worker has learnt that those before are of no more use."""

REFUSED = "503 database_unavailable"
UNKNOWN = "503 outcome_unknown"


async def come_and_go(client: Client, visits: int) -> Counter[str]:
    """Create tasks, erase the account, and hold what is left against the answer."""
    answers: Counter[str] = Counter()
    for _ in range(visits):
        created = await client.request("POST", "/tasks", {"title": "x"})
        erased = await client.request("DELETE", "")
        while (left := await client.request("GET", "/tasks")).status != 200:
            answers[f"GET {left.code}"] += 1
        answers.update([f"POST {created.code}", f"DELETE {erased.code}"])
        if erased.status == 204:
            assert left.json() == []
        elif created.status == 201 and erased.code == REFUSED:
            assert left.json() != []
    client.close()
    return answers


async def visit_all(service: Service, visits: int) -> Counter[str]:
    answers: Counter[str] = Counter()
    for visited in await asyncio.gather(*(come_and_go(service.client(random_user()), visits) for _ in range(CLIENTS))):
        answers += visited
    return answers


async def are_statements_kept(service: Service) -> bool:
    """Tell whether the worker has kept what it prepared, in the way in which it did at the start."""
    await visit_all(service, 1)
    found = [row["query"] for row in await fetch(service.settings.database_url, STATEMENTS)]
    assert any("tasks" in query for query in found)
    unnamed = "DATABASE_STATEMENTS=unnamed" in service.server.output
    return not unnamed and not any(PREPARED_ANEW.search(query) for query in found)


async def test_erasures_beside_other_requests_leave_prepared_statements_as_they_are(
    settings: Settings, folder: Path, scale: Scale
) -> None:
    service = await Service(folder, settings).start()
    answers = await visit_all(service, scale.erasures)
    assert answers.keys() == {"POST 201", "DELETE 204"}
    assert await are_statements_kept(service)


async def test_an_erasure_whose_backend_dies_says_whether_anything_is_erased(
    settings: Settings, folder: Path, scale: Scale, report: Callable[[str], None]
) -> None:
    service = await Service(folder, settings).start()
    await visit_all(service, 1)

    async def terminate() -> None:
        while True:
            await asyncio.sleep(random.uniform(PAUSE_SECONDS / 10, PAUSE_SECONDS))  # noqa: S311 - no secret
            await fetch(settings.database_url, TERMINATE)

    terminating = asyncio.create_task(terminate())

    answers = await visit_all(service, scale.erasures)
    for _ in range(ROUNDS):
        if answers["DELETE " + REFUSED]:
            break
        answers += await visit_all(service, scale.erasures)
    terminating.cancel()
    await asyncio.gather(terminating, return_exceptions=True)
    report(f"backends that die during erasures: {dict(answers)}")
    outcomes = {"201", "204", REFUSED, UNKNOWN}
    assert {answer.partition(" ")[2] for answer in answers} <= outcomes
    assert answers["DELETE " + REFUSED]
    assert await are_statements_kept(service)

"""More work than the pool can serve. A relay makes the database slow, so that its connections are what runs out.

Each request has a statement of its own here: sent together, reads would need more than this machine's load to run out.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from app.auth.mint import mint
from app.settings import Settings
from tests.conftest import random_user
from tests.faults.cluster import Cluster
from tests.faults.load import Order, load
from tests.faults.scale import Scale
from tests.faults.service import TOKEN_SECONDS, Service
from tests.wire import relayed

USERS = 200
POOL = 10
DELAY_SECONDS = 0.025
GOODPUT = 0.9
REFUSAL_SECONDS = 0.05
ADMITTED_SECONDS = 1
ADMITTED_FACTOR = 3
COLD_RATE = 100
DOWN_SECONDS = 2.5


async def tasks(service: Service) -> list[tuple[str, int]]:
    """Return the tokens of some users, and a task of each."""
    made = []
    for user_id in (random_user() for _ in range(USERS)):
        client = service.client(user_id)
        created = await client.request("POST", "/tasks", {"title": "x"})
        made.append((mint(service.settings, user_id, TOKEN_SECONDS), created.json()["id"]))
        client.close()
    return made


async def test_twice_the_load_that_fits_is_served_in_part_and_refused_in_part(
    settings: Settings, folder: Path, scale: Scale, report: Callable[[str], None]
) -> None:
    async with relayed(settings.database_url) as (relay, url):
        own = replace(settings, database_url=url)
        service = Service(folder, own, DATABASE_POOL_SIZE=str(POOL), DATABASE_COALESCE="false", DATABASE_TIMEOUT="15")
        await service.start()
        users = await tasks(service)
        relay.delay = DELAY_SECONDS
        seconds = max(1.5, scale.overload_seconds / 6)
        unloaded = await load(Order(service.port, users, seconds, clients=1))
        capacity = (await load(Order(service.port, users, seconds, clients=2 * POOL))).goodput
        fits = (
            capacity if scale.figures_count else max(capacity, POOL / DELAY_SECONDS)
        )  # what was measured may be far off
        outcome = await load(Order(service.port, users, scale.overload_seconds, rate=2 * fits))
        client = service.client(random_user())
        after = await client.request("GET", "/tasks")
        client.close()

    limit = max(ADMITTED_SECONDS, ADMITTED_FACTOR * unloaded.admitted.p99)
    report(
        f"twice the capacity of {capacity:.0f} requests/s for {scale.overload_seconds} s: "
        f"goodput {outcome.goodput:.0f}/s; {outcome.counts}; "
        f"admitted p50 {outcome.admitted.p50:.3f} p99 {outcome.admitted.p99:.3f} s, "
        f"p99 unloaded {unloaded.admitted.p99:.3f} s; "
        f"refused p50 {outcome.refused.p50:.4f} p99 {outcome.refused.p99:.4f} longest {outcome.refused.longest:.4f} s; "
        f"requests started {outcome.lateness:.4f} s late (p99)"
    )
    assert set(outcome.counts) == {"200", "503 overloaded"}
    assert after.status == 200
    if scale.figures_count:
        assert outcome.goodput >= GOODPUT * capacity
        assert outcome.admitted.p99 <= limit
        assert outcome.refused.p99 <= REFUSAL_SECONDS


async def test_a_database_that_starts_under_load_is_used_at_once(
    cluster: Cluster, standing: Service, folder: Path, scale: Scale, report: Callable[[str], None]
) -> None:
    users = await tasks(standing)
    await cluster.stop()
    service = await Service(folder, standing.settings, workers=2).start()
    loading = asyncio.create_task(load(Order(service.port, users, 2 * DOWN_SECONDS, rate=COLD_RATE)))
    await asyncio.sleep(DOWN_SECONDS)
    await cluster.start()
    back = time.monotonic()
    outcome = await loading
    while not outcome.admitted.count and time.monotonic() < back + scale.recovery_seconds:
        outcome = await load(Order(service.port, users, DOWN_SECONDS, rate=COLD_RATE))
    recovery = max(outcome.first_success, outcome.last_failure, back) - back
    report(
        f"cold start at {COLD_RATE} requests/s: recovery {recovery:.2f} s; {outcome.counts}; "
        f"longest admitted {outcome.admitted.longest:.2f} s, refused {outcome.refused.longest:.2f} s"
    )
    assert outcome.counts.keys() <= {"200", "503 overloaded", "503 database_unavailable"}
    assert outcome.admitted.count
    assert recovery <= scale.recovery_seconds

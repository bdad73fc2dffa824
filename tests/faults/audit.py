"""Reads everything back, through the service and from the tables, and names what disagrees with the ledger."""

from collections import defaultdict
from typing import Any

import asyncpg
import httpx

from tests.faults.ledger import Ledger, contents
from tests.faults.service import Service


async def audit(ledger: Ledger, service: Service) -> list[str]:
    connection = await asyncpg.connect(service.settings.database_url)
    try:
        return [
            *ledger.violations,
            *await _tasks(ledger, service),
            *await _titles(ledger, connection),
            *await _revisions(ledger, connection),
        ]
    finally:
        await connection.close()


async def _tasks(ledger: Ledger, service: Service) -> list[str]:
    """Each acknowledged task looks as its last acknowledged write left it, or as an unknown one after that would."""
    stored = {user_id: await _listed(service, user_id) for user_id in ledger.acknowledged}
    return [
        f"task {kept.id} is {found}, not one of {kept.possible}"
        for kept in ledger.tasks
        if (found := stored[kept.user_id].get(kept.id)) not in kept.possible
    ]


async def _listed(service: Service, user_id: str) -> dict[int, Any]:
    found = {}
    path = "/tasks?limit=1000"
    client = service.client(user_id)
    while path:
        page = await client.request("GET", path)
        assert page.status == 200, page.code
        found.update({task["id"]: contents(task) for task in page.json()})
        links = httpx.Response(page.status, headers=page.headers).links
        path = links["next"]["url"].removeprefix("/api/me") if "next" in links else ""
    client.close()
    return found


async def _titles(ledger: Ledger, connection: asyncpg.Connection) -> list[str]:
    """No creation happened twice, however often it was tried, and no acknowledged one not at all."""
    rows: dict[str, int] = defaultdict(int)
    rows.update(
        {row["title"]: row["count"] for row in await connection.fetch("SELECT title, count(*) FROM tasks GROUP BY 1")}
    )
    return [
        f"{title} was created {rows[title]} times, {outcome}"
        for title, outcome in ledger.titles.items()
        if rows[title] > 1 or (outcome == "acknowledged" and rows[title] == 0)
    ]


async def _revisions(ledger: Ledger, connection: asyncpg.Connection) -> list[str]:
    """Revisions grow, and a user's went up once for each acknowledged write and at most once for each unknown one."""
    wrong = [f"{count} revisions out of order" for count in [ledger.out_of_order()] if count]
    last = {row["id"]: row["revision"] for row in await connection.fetch("SELECT id, revision FROM users")}
    for user_id, writes in ledger.revisions.items():
        applied = last[user_id] - min(revision for _, _, revision in writes) + 1
        acknowledged, unknown = ledger.acknowledged[user_id], ledger.unknown[user_id]
        if not acknowledged <= applied <= acknowledged + unknown:
            wrong.append(f"{applied} writes applied, {acknowledged} acknowledged and {unknown} unknown")
    return wrong

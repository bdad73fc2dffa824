"""A batch whose answer was lost after its commit is done, and sent again it does nothing more."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from tests.conftest import random_user
from tests.faults.client import Answer, Unanswered
from tests.faults.cluster import Cluster, fetch
from tests.faults.scale import Scale
from tests.faults.service import Service
from tests.processes import START_SECONDS
from tests.wire import Relay, relayed

PATIENCE_SECONDS = 20 + START_SECONDS
"""Far more than a cycle needs."""

BEFORE = [{"op": "put", "uid": uid, "data": {"title": "before"}} for uid in ("edited-offline", "dropped-offline")]
AFTER = {"created-offline": "created", "edited-offline": "edited", "dropped-offline": None, "short-lived": None}


def batch(base: int) -> dict[str, Any]:
    """One of each kind of operation, and several on one task; guarded by a revision that it moves on from itself."""
    operations = [
        {"op": "put", "uid": "created-offline", "data": {"title": "created"}},
        {"op": "patch", "uid": "edited-offline", "base": base, "data": {"title": "edited"}},
        {"op": "delete", "uid": "dropped-offline", "base": base},
        {"op": "put", "uid": "short-lived", "data": {"title": "not for long"}},
        {"op": "delete", "uid": "short-lived", "base": 0},
    ]
    return {"operations": operations}


async def stored(settings: Settings, user_id: str) -> tuple[Any, dict[str, str | None]]:
    """Return the version of the user's row, and the titles of the user's tasks by name, None for deleted ones."""
    rows = await fetch(
        settings.database_url,
        f"""SELECT users.xmin, users.revision, uid, CASE WHEN deleted_at IS NULL THEN title END AS title
            FROM users JOIN tasks ON user_id = users.id WHERE users.id = '{user_id}'""",  # noqa: S608 - our own random text
    )
    assert len({row["uid"] for row in rows}) == len(rows)
    return (rows[0]["xmin"], rows[0]["revision"]), {row["uid"]: row["title"] for row in rows}


async def committed(relay: Relay, settings: Settings, sending: asyncio.Task[Answer], user_id: str) -> None:
    """Let a batch come to its end in the database, and keep from its server that it has."""
    await relay.held.wait()
    relay.hold_at = None
    relay.answering.clear()
    relay.flowing.set()
    while "created-offline" not in (await stored(settings, user_id))[1]:
        assert not sending.done()
        await asyncio.sleep(0.005)


Fault = Callable[[Relay, asyncio.Task[Answer]], Awaitable[None]]
"""Takes the answer away."""


async def cycle(service: Service, relay: Relay, settings: Settings, fault: Fault) -> None:
    """Have a new user send a batch, take its answer away once it is committed, and send it twice more."""
    user_id = random_user()
    client = service.client(user_id)
    async with asyncio.timeout(PATIENCE_SECONDS):
        base = (await client.request("POST", "/tasks/batch", {"operations": BEFORE})).json()["revision"]
        relay.held.clear()
        relay.hold_at = b"COMMIT"
        sending = asyncio.create_task(client.request("POST", "/tasks/batch", batch(base)))
        await committed(relay, settings, sending, user_id)
        version, titles = await stored(settings, user_id)
        assert titles == AFTER
        await fault(relay, sending)
        repeats = [await client.request("POST", "/tasks/batch", batch(base)) for _ in range(2)]
    for repeat in repeats:
        assert repeat.status == 200
        assert repeat.json()["revision"] == version[1] == base + len(AFTER)
        assert [result["status"] for result in repeat.json()["results"]] == ["ok"] * 5
    assert await stored(settings, user_id) == (version, titles)
    client.close()


async def test_a_batch_is_found_done_by_its_repeat_if_backend_or_server_died_between_commit_and_answer(
    cluster: Cluster, settings: Settings, folder: Path, scale: Scale, report: Callable[[str], None]
) -> None:
    async with relayed(settings.database_url) as (relay, url):
        service = await Service(folder, replace(settings, database_url=url)).start()

        async def kill_backend(relay: Relay, sending: asyncio.Task[Answer]) -> None:
            await cluster.terminate_backends()
            relay.cut()
            relay.answering.set()
            assert (await sending).code == "503 outcome_unknown"

        async def kill_server(relay: Relay, sending: asyncio.Task[Answer]) -> None:
            await service.kill()
            with pytest.raises(Unanswered):
                await sending
            relay.answering.set()
            await service.start()

        for fault in (kill_backend, kill_server):
            for _ in range(scale.cycles):
                await cycle(service, relay, settings, fault)
            report(f"batch, {fault.__name__} between commit and answer: {scale.cycles} times nothing twice")

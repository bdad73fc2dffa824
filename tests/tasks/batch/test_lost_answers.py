"""What becomes of a batch whose connection to the database breaks, before its COMMIT or after."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import httpx
import pytest

from app.settings import Settings
from tests.conftest import client_of, running
from tests.tasks.batch.requests import TASKS, delete, patch, put, send, statuses
from tests.wire import Relay, relayed

OPERATIONS = [put("kept-offline"), patch("kept-offline", "later"), put("dropped-offline"), delete("dropped-offline")]


@pytest.fixture
async def relay_and_client(settings: Settings, user_id: str) -> AsyncIterator[tuple[Relay, httpx.AsyncClient]]:
    async with relayed(settings.database_url) as (relay, url):
        through = replace(settings, database_url=url)
        async with running(through) as app, client_of(app, through, user_id) as client:
            await client.get(TASKS)
            yield relay, client


async def cut_at(relay: Relay, text: bytes, request: Any) -> httpx.Response:
    """Send a request, and drop every connection while the message with that text is on its way."""
    relay.held.clear()
    relay.hold_at = text
    waiting = asyncio.create_task(request)
    await relay.held.wait()
    relay.hold_at = None
    relay.cut()
    relay.flowing.set()
    answer: httpx.Response = await waiting
    return answer


async def test_without_an_answer_to_commit_nobody_knows_and_the_repeat_is_fine(
    relay_and_client: tuple[Relay, httpx.AsyncClient], connection: asyncpg.Connection, user_id: str
) -> None:
    relay, client = relay_and_client
    lost = await cut_at(relay, b"COMMIT", send(client, *OPERATIONS))
    assert (lost.status_code, lost.json()["code"]) == (503, "outcome_unknown")
    assert lost.headers["retry-after"] == "1"
    for _ in range(2):
        assert statuses(await send(client, *OPERATIONS)) == ["ok"] * 4
    rows = await connection.fetch("SELECT uid, title FROM tasks WHERE user_id = $1 ORDER BY uid", user_id)
    assert [tuple(row) for row in rows] == [("dropped-offline", "x"), ("kept-offline", "later")]


async def test_an_answer_that_is_lost_after_commit_is_found_by_the_repeat(
    relay_and_client: tuple[Relay, httpx.AsyncClient], connection: asyncpg.Connection, user_id: str
) -> None:
    relay, client = relay_and_client
    made = (await send(client, put("written-before"))).json()["revision"]
    operation = patch("written-before", "z", base=made)
    relay.held.clear()
    relay.hold_at = b"COMMIT"
    waiting = asyncio.create_task(send(client, operation))
    await relay.held.wait()
    relay.hold_at = None
    relay.answering.clear()
    relay.flowing.set()
    while await connection.fetchval("SELECT revision FROM users WHERE id = $1", user_id) == made:
        await asyncio.sleep(0.005)
    relay.cut()
    relay.answering.set()
    assert (await waiting).json()["code"] == "outcome_unknown"
    again = await send(client, operation)
    assert statuses(again) == ["ok"]
    assert again.json()["revision"] == made + 1


async def test_what_the_database_refuses_is_rolled_back_on_a_connection_that_goes_on(
    settings: Settings, connection: asyncpg.Connection, user_id: str
) -> None:
    single = replace(settings, database_pool_size=1)
    backends = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'BEGIN; /* tasks.batch%'"
    async with running(single) as app, client_of(app, single, user_id) as client:
        await send(client, put("kept-as-it-is"))
        async with connection.transaction():
            await connection.execute("SELECT FROM users WHERE id = $1 FOR UPDATE", user_id)
            waiting = asyncio.create_task(send(client, patch("kept-as-it-is")))
            while not (pid := await connection.fetchval(backends)):
                await asyncio.sleep(0.005)
            await connection.execute("SELECT pg_cancel_backend($1)", pid)
            refused = await waiting
        assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
        assert [task["title"] for task in (await client.get(TASKS)).json()] == ["x"]
        assert statuses(await send(client, patch("kept-as-it-is"))) == ["ok"]
        on_it = "SELECT state FROM pg_stat_activity WHERE pid = $1"
        assert await connection.fetchval(on_it, pid) == "idle"  # the same backend, and no transaction left open


@pytest.mark.parametrize("text", [b"BEGIN", b"written-once"])
async def test_what_breaks_before_commit_is_begun_again(
    relay_and_client: tuple[Relay, httpx.AsyncClient], text: bytes
) -> None:
    relay, client = relay_and_client
    answer = await cut_at(relay, text, send(client, put("written-once")))
    assert statuses(answer) == ["ok"]
    assert [task["uid"] for task in (await client.get(TASKS)).json()] == ["written-once"]

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


@pytest.mark.parametrize("text", [b"BEGIN", b"written-once"])
async def test_what_breaks_before_commit_is_begun_again(
    relay_and_client: tuple[Relay, httpx.AsyncClient], text: bytes
) -> None:
    relay, client = relay_and_client
    answer = await cut_at(relay, text, send(client, put("written-once")))
    assert statuses(answer) == ["ok"]
    assert [task["uid"] for task in (await client.get(TASKS)).json()] == ["written-once"]

"""What is logged of statements that take long, and that nothing of their values is."""

import asyncio
import json
from dataclasses import replace

import asyncpg
import httpx
import pytest
from structlog.testing import capture_logs

from app.db import groups
from app.db.observation import Execution
from app.db.observers import Observers
from app.db.slow_log import slow_log
from app.settings import Settings
from tests.conftest import client_of, running
from tests.db.test_coalesce import reading
from tests.documents.blocks import the_block
from tests.wire import relayed

TASKS = "/api/me/tasks"
HELD = 0.1
TITLE = "a secret title"


def slow(logs: list[dict[str, object]]) -> list[dict[str, object]]:
    return [line for line in logs if line["event"] == "slow statement"]


async def test_a_slow_statement_is_logged_by_name_and_request_and_without_values(
    settings: Settings, user_id: str
) -> None:
    async with relayed(settings.database_url) as (relay, url):
        ours = replace(settings, database_url=url, slow_query_ms=50)
        async with running(ours) as app, client_of(app, ours, user_id) as client:
            await client.post(TASKS, json={"title": TITLE})
            await client.get(TASKS)
            relay.delay = HELD
            with capture_logs() as logs:
                answers = [
                    await client.get(TASKS, headers={"x-request-id": "reading"}),
                    await client.post(TASKS, json={"title": TITLE}, headers={"x-request-id": "writing"}),
                    await client.delete("/api/me"),
                ]
    assert [answer.status_code for answer in answers] == [200, 201, 204]
    documented = json.loads(the_block("docs/operations.md", "json", "duration_ms"))
    [reading_line, writing_line, erasing_line] = slow(logs)  # type: ignore[arg-type]
    assert (reading_line["name"], reading_line["request_id"]) == ("tasks.list", "reading")
    assert (writing_line["name"], writing_line["request_id"]) == ("tasks.create", "writing")
    assert erasing_line["name"] == "users.erase"
    for line in slow(logs):  # type: ignore[arg-type]
        assert line.keys() - {"log_level"} == documented.keys() - {"level", "timestamp"}
        assert (line["log_level"], line["requests"], line["retries"], line["outcome"]) == ("warning", 1, 0, "ok")
        assert not {TITLE, user_id} & {str(value) for value in line.values()}
    assert int(str(writing_line["size"])) > len(TITLE)
    assert float(str(reading_line["duration_ms"])) >= HELD * 1000


async def test_the_wait_for_a_connection_is_told_apart_and_makes_no_statement_slow(
    settings: Settings, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "SLOW", 60)
    async with reading(settings, observers=[slow_log(1000), slow_log(1)]) as reads:
        with capture_logs() as logs:
            async with reads.occupied(connection) as first:
                waiting = reads.start(3)
                await asyncio.sleep(HELD)
                reads.relay.delay = HELD / 5
            await asyncio.gather(*first, *waiting)
    [together] = [line for line in slow(logs) if line["requests"] == 3]  # type: ignore[arg-type]
    assert float(str(together["queue_ms"])) >= HELD * 1000
    assert "request_id" not in together


def test_a_quick_one_is_not_logged() -> None:
    execution = Execution.begin("a.read")
    execution.waited = 10
    observers = Observers([slow_log(250)])
    with capture_logs() as logs:
        observers.tell(execution)
        execution.took = 0.25
        observers.tell(execution)
    assert len(logs) == 1


async def test_nothing_is_logged_where_it_is_off(settings: Settings, user_id: str) -> None:
    async with relayed(settings.database_url) as (relay, url):
        ours = replace(settings, database_url=url, slow_query_ms=0)
        async with running(ours) as app, client_of(app, ours, user_id) as client:
            relay.delay = HELD
            with capture_logs() as logs:
                answer: httpx.Response = await client.get(TASKS)
    assert answer.status_code == 200
    assert slow(logs) == []  # type: ignore[arg-type]

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from app.settings import Settings, StatementMode
from tests.conftest import client_of, running
from tests.wire import Relay, relayed

TASKS = "/api/me/tasks"

DATA_REQUESTS: list[tuple[str, str, Any]] = [
    ("GET", TASKS, None),
    ("HEAD", TASKS, None),
    ("GET", f"{TASKS}?status=pending&priority=high&tag=a&search=x&sort=due_date&limit=2", None),
    ("POST", TASKS, {"title": "x", "tags": ["a"]}),
    ("POST", TASKS, {"title": "x", "uid": "named-by-its-client"}),
    ("GET", f"{TASKS}?status=deleted&limit=2", None),
    ("GET", f"{TASKS}/{{id}}", None),
    ("GET", f"{TASKS}/named-by-its-client", None),
    ("PATCH", f"{TASKS}/named-by-its-client", {"title": "y"}),
    ("PATCH", f"{TASKS}/{{id}}", {"title": "y"}),
    ("PATCH", f"{TASKS}/{{id}}", {}),
    ("PUT", f"{TASKS}/{{id}}", {"title": "z"}),
    ("PATCH", f"{TASKS}/{{id}}/complete", {}),
    ("POST", f"{TASKS}/{{id}}/restore", None),
    ("POST", f"{TASKS}/999999999/restore", None),
    ("GET", f"{TASKS}/999999999", None),
    ("PATCH", f"{TASKS}/999999999", {"title": "y"}),
    ("DELETE", f"{TASKS}/999999999", None),
    ("GET", "/api/me", None),
    ("GET", "/api/me/stats", None),
]
FREE_REQUESTS: list[tuple[str, str, int]] = [
    ("GET", "/", 200),
    ("GET", "/health", 200),
    ("GET", "/ready", 200),
    ("GET", "/docs", 200),
    ("GET", "/openapi.json", 200),
    ("GET", "/api/somebody/tasks", 403),
    ("POST", "/api/somebody/tasks", 403),
    ("DELETE", "/api/somebody", 403),
    ("GET", f"{TASKS}/0", 404),
    ("GET", f"{TASKS}?limit=0", 422),
    ("POST", TASKS, 400),
    ("OPTIONS", TASKS, 204),
    ("GET", "/nowhere", 404),
]


@pytest.fixture(params=["named", "unnamed"])
async def counted(
    request: pytest.FixtureRequest, settings: Settings, user_id: str
) -> AsyncIterator[tuple[Relay, httpx.AsyncClient]]:
    """A client whose application reaches the database through a relay, over a single connection."""
    mode: StatementMode = request.param
    async with relayed(settings.database_url) as (relay, url):
        through = replace(
            settings, database_url=url, database_pool_size=1, database_reads_per_user=2, database_statements=mode
        )
        async with running(through) as app, client_of(app, through, user_id) as client:
            yield relay, client


async def test_every_data_request_is_one_statement_and_one_round_trip(
    counted: tuple[Relay, httpx.AsyncClient],
) -> None:
    relay, client = counted
    task_id = (await client.post(TASKS, json={"title": "x"})).json()["id"]
    for method, path, body in DATA_REQUESTS:
        url = path.format(id=task_id)
        await client.request(method, url, json=body)  # the first one of a connection also learns the statement's types
        relay.reset()
        response = await client.request(method, url, json=body)
        assert response.status_code < 500
        assert (relay.statements, relay.round_trips, relay.connections) == (1, 1, 0), (method, path)


async def test_64_reads_at_once_are_three_statements_and_three_round_trips(
    counted: tuple[Relay, httpx.AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that nothing was in the way of, and one for all that came while these were under way."""
    monkeypatch.setattr("app.db.groups.SLOW", 60)
    relay, client = counted
    url = f"{TASKS}/{(await client.post(TASKS, json={'title': 'x'})).json()['id']}"
    for path in (url, f"{url}999", TASKS, f"{TASKS}?status=pending&sort=title", "/api/me/stats"):
        alone = await client.get(path)
        for relay.delay in (0, 0.05):  # the first ones of a connection also learn the statements' types
            relay.reset()
            answers = await asyncio.gather(*(client.get(path) for _ in range(64)))
        assert {answer.status_code for answer in answers} == {alone.status_code}
        assert {answer.headers.get("etag") for answer in answers} == {alone.headers.get("etag")}
        assert (relay.statements, relay.round_trips, relay.connections) == (3, 3, 0), path


async def test_conditional_requests_are_one_round_trip_too(counted: tuple[Relay, httpx.AsyncClient]) -> None:
    relay, client = counted
    task = (await client.post(TASKS, json={"title": "x"})).json()
    url = f"{TASKS}/{task['id']}"
    tag = f'"{task["revision"]}"'
    for method, path, headers, status in [
        ("GET", TASKS, {"If-None-Match": tag}, 304),
        ("GET", url, {"If-None-Match": tag}, 304),
        ("PATCH", f"{url}/complete", {"If-Match": '"1"'}, 412),
        ("DELETE", url, {"If-Match": '"1"'}, 412),
        ("DELETE", url, {"If-Match": tag}, 204),
    ]:
        if status != 204:
            await client.request(method, path, headers=headers)
        relay.reset()
        assert (await client.request(method, path, headers=headers)).status_code == status
        assert (relay.statements, relay.round_trips) == (1, 1), (method, path)


async def test_what_needs_no_data_asks_the_database_nothing(
    counted: tuple[Relay, httpx.AsyncClient],
) -> None:
    relay, client = counted
    for method, path, status in FREE_REQUESTS:
        assert (await client.request(method, path)).status_code == status, (method, path)
    for method, path, body in DATA_REQUESTS:
        del client.headers["Authorization"]
        assert (await client.request(method, path, json=body)).status_code == 401
        client.headers["Authorization"] = "Bearer a.b.c"
        assert (await client.request(method, path, json=body)).status_code == 401
    assert (relay.statements, relay.round_trips, relay.connections) == (0, 0, 0)


async def test_a_batch_of_100_is_four_round_trips_and_one_that_changes_nothing_three(
    counted: tuple[Relay, httpx.AsyncClient],
) -> None:
    relay, client = counted
    for title, round_trips in (("first", None), ("second", 4), ("second", 3)):  # the first one learns the types
        new = [{"op": "put", "uid": f"{title}-task-{n}", "data": {"title": title}} for n in range(60)]
        old = [{"op": "patch", "uid": f"first-task-{n}", "data": {"title": title}} for n in range(20)]
        gone = [{"op": "delete", "uid": f"first-task-{n}"} for n in range(20, 40)]
        relay.reset()
        answer = await client.post(f"{TASKS}/batch", json={"operations": [*new, *old, *gone]})
        assert {result["status"] for result in answer.json()["results"]} == {"ok"}
        if round_trips:
            assert (relay.statements, relay.round_trips, relay.connections) == (round_trips, round_trips, 0)


async def test_erasure_is_one_transaction_of_three_statements(counted: tuple[Relay, httpx.AsyncClient]) -> None:
    relay, client = counted
    await client.delete("/api/me")
    await client.post(TASKS, json={"title": "x"})
    relay.reset()
    assert (await client.delete("/api/me")).status_code == 204
    assert relay.statements == 5  # BEGIN, three DELETEs, COMMIT

from base64 import urlsafe_b64encode
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

import asyncpg
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import json

from app.settings import Settings
from app.tasks import rules
from app.tasks.cursor import Cursor, encode
from tests.conftest import client_of, random_user, running

TASKS = "/api/me/tasks"
FEW_DATES = st.none() | st.sampled_from(["2026-12-01", "2026-12-01T00:00:00.000001Z", "1900-01-01", "2999-12-31"])
FEW_TITLES = st.sampled_from(["a", "A", "b", "ä", "Ä", "a b", "%", "zz", "😀"])
TASK = st.fixed_dictionaries(
    {"title": FEW_TITLES, "due_date": FEW_DATES, "priority": st.sampled_from(["HIGH", "MEDIUM", "LOW"])}
)
SORTS = ["created", "updated", "due_date", "priority", "title"]


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("order", ["asc", "desc"])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tasks=st.lists(TASK, min_size=1, max_size=12), late=st.lists(TASK, max_size=3), limit=st.integers(1, 5))
async def test_every_page_follows_the_one_before_and_each_task_comes_exactly_once(
    app: Any, settings: Settings, sort: str, order: str, tasks: list[Any], late: list[Any], limit: int
) -> None:
    async with client_of(app, settings, random_user()) as client:
        for task in tasks:
            await client.post(TASKS, json=task)
        params = {"sort": sort, "order": order}
        whole = [task["id"] for task in (await client.get(TASKS, params=params)).json()]
        assert len(whole) == len(tasks)
        url: str | None = str(httpx.URL(TASKS, params={**params, "limit": limit}))
        seen: list[int] = []
        while url:
            response = await client.get(url)
            page = [task["id"] for task in response.json()]
            assert 0 < len(page) <= limit
            seen += page
            url = response.links["next"]["url"] if "next" in response.links else None
            if late:  # a task inserted between two pages may appear or not, and moves no other
                whole_now = await client.post(TASKS, json=late.pop())
                assert whole_now.status_code == 201
        assert [task_id for task_id in seen if task_id in whole] == whole
        assert len(seen) == len(set(seen))


async def test_pages_by_priority_follow_each_other_where_answers_are_in_lower_case(settings: Settings) -> None:
    lower = replace(settings, priority_case="lower")
    async with running(lower) as app, client_of(app, lower, random_user()) as client:
        for priority in ("low", "high", "medium"):
            await client.post(TASKS, json={"title": "x", "priority": priority})
        seen: list[str] = []
        url: str | None = f"{TASKS}?sort=priority&limit=1"
        while url:
            response = await client.get(url)
            seen += [task["priority"] for task in response.json()]
            url = response.links.get("next", {}).get("url")
    assert seen == ["high", "medium", "low"]


def encoded(cursor: Cursor) -> str:
    return encode(cursor.sort, cursor.order, json.encode([cursor.key, cursor.id]).decode())


def forged(text: str) -> str:
    return urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "cursor",
    [
        forged("[]"),
        forged("{}"),
        forged('["created","desc","2026-12-01T00:00:00Z",0]'),
        forged('["created","desc","2026-12-01T00:00:00Z",-5]'),
        forged('["created","desc","2026-12-01T00:00:00Z",9223372036854775808]'),
        forged('["created","desc","2026-12-01T00:00:00",1]'),
        forged('["created","desc","0001-01-01T00:00:00Z",1]'),
        forged('["created","desc",null,1]'),
        forged('["created","desc",5,1]'),
        forged('["created","desc","2026-12-01T00:00:00Z","1"]'),
        forged('["created","up","2026-12-01T00:00:00Z",1]'),
        forged('["updated","desc",99999999999999999999,1]'),
        forged('["updated","desc",true,1]'),
        forged('["title","desc","\\u0000",1]'),
        forged('["title","desc",null,1]'),
        forged('["priority","desc","URGENT",1]'),
        forged('["id","desc",1,1]'),
        forged("[" * 1000),
        "é",
        "a.b",
    ],
)
async def test_a_forged_cursor_is_422(client: httpx.AsyncClient, cursor: str) -> None:
    for sort in ("created", "updated", "title", "priority"):
        response = await client.get(TASKS, params={"cursor": cursor, "sort": sort, "order": "desc"})
        assert response.status_code == 422
        assert response.json()["errors"][0]["field"] == "cursor"


KEYS: dict[str, st.SearchStrategy[Any]] = {
    "created": st.datetimes(datetime(1900, 1, 1), datetime(2999, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
    "updated": st.integers(0, 2**63 - 1),
    "due_date": st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2999, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
    "priority": st.sampled_from(["HIGH", "MEDIUM", "LOW"]),
    "title": st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=200),
}


@given(
    data=st.data(), sort=st.sampled_from(SORTS), order=st.sampled_from(["asc", "desc"]), id=st.integers(1, 2**63 - 1)
)
def test_a_cursor_survives_its_own_encoding(
    data: st.DataObject,
    sort: str,
    order: Literal["asc", "desc"],
    id: int,  # noqa: A002
) -> None:
    key = data.draw(KEYS[sort])
    stored = rules.priority(key) if sort == "priority" else key
    assert Cursor.decode(encoded(Cursor(sort, order, key, id))) == Cursor(sort, order, stored, id)


@pytest.fixture
async def foreign(connection: asyncpg.Connection) -> int:
    """The id of a task of somebody else."""
    insert = "INSERT INTO tasks (user_id, title, revision) VALUES ($1, 'theirs', 1) RETURNING id"
    return int(await connection.fetchval(insert, random_user()))


async def test_a_cursor_that_names_somebody_elses_task_leads_to_own_tasks_only(
    client: httpx.AsyncClient, foreign: int
) -> None:
    await client.post(TASKS, json={"title": "mine"})
    cursor = encoded(Cursor("title", "asc", "a", foreign))
    response = await client.get(TASKS, params={"sort": "title", "cursor": cursor})
    assert [task["title"] for task in response.json()] == ["mine"]

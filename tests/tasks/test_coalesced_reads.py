"""Whatever is asked at once, each gets the answer that it would have got alone."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec import convert

from app.auth.caller import Caller
from app.db.database import Database
from app.settings import Settings
from app.tasks.errors import TaskNotFound
from app.tasks.query import parse
from app.tasks.repository import TaskStore
from app.tasks.rules import PRIORITIES
from app.tasks.schemas import TaskCreate
from app.users.repository import UserStore
from tests.conftest import random_user

USERS = 8
LISTS = [
    b"",
    b"limit=2",
    b"limit=2&offset=1",
    b"status=pending",
    b"sort=title&order=desc&limit=1",
    b"priority=high&priority=low",
    b"tag=a&tag=b",
    b"tags=b,a",
    b"search=7",
    b"due_after=2026-01-01&sort=due_date",
]


class Stores(NamedTuple):
    tasks: TaskStore
    users: UserStore

    @classmethod
    def on(cls, database: Database, cache_bytes: int = 0) -> "Stores":
        tasks = TaskStore(database, priority_names=PRIORITIES, cache_bytes=cache_bytes)
        return cls(tasks, UserStore(database, priority_names=PRIORITIES))


class World(NamedTuple):
    """The same data asked for one by one and together; the last of the users has never written."""

    alone: Stores
    together: Stores
    users: list[str]
    task_ids: list[int]
    revisions: list[int]


@pytest.fixture
async def world(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr("app.db.groups.UNDER_WAY", 1)
    databases = [Database(replace(settings, database_coalesce=on)) for on in (False, True)]
    alone = Stores.on(databases[0])
    users = [random_user() for _ in range(USERS)]
    created = []
    for number, user_id in enumerate(users):
        for task in range(number):
            fields = {"title": f"{user_id} {task}", "tags": ["a", "b"][: task % 3], "priority": PRIORITIES[task % 3]}
            created.append(await alone.tasks.create(user_id, convert(fields, TaskCreate).present()))
    task_ids = [task.id for task in created if task.id]
    yield World(
        alone, Stores.on(databases[1], 4096), [*users, random_user()], task_ids, [task.revision for task in created]
    )
    for database in databases:
        await database.close()


INDEX = st.integers(0, 63)
KNOWN = st.lists(INDEX, max_size=3)
REQUESTS = st.one_of(
    st.tuples(st.just("read"), INDEX, INDEX, KNOWN),
    st.tuples(st.just("page"), INDEX, st.sampled_from(LISTS), KNOWN),
    st.tuples(st.just("profile"), INDEX, st.none() | st.text("a,{}\"\\'NUL", max_size=5)),
    st.tuples(st.just("stats"), INDEX),
)


async def ask(world: World, stores: Stores, request: Any) -> Any:
    kind, user, *rest = request
    user_id = world.users[user % len(world.users)]
    known = [world.revisions[number % len(world.revisions)] for number in rest[-1]] if kind in {"read", "page"} else []
    try:
        match kind:
            case "read":
                return await stores.tasks.read(user_id, world.task_ids[rest[0] % len(world.task_ids)], known)
            case "page":
                return await stores.tasks.page(user_id, parse(rest[0]), known)
            case "profile":
                return await stores.users.profile(Caller(id=user_id, email=rest[0], name=rest[0]))
        return await stores.users.stats(user_id)
    except TaskNotFound as error:
        return type(error)


@given(requests=st.lists(REQUESTS, min_size=20, max_size=64))
@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_answers_are_those_of_requests_that_came_alone(world: World, requests: list[Any]) -> None:
    expected = [await ask(world, world.alone, request) for request in requests]
    assert await asyncio.gather(*(ask(world, world.together, request) for request in requests)) == expected

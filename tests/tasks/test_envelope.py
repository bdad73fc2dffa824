"""LIST_ENVELOPE: the same list with the same headers, as a member of an object, whoever answers and from wherever."""

import json
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, Final

import httpx
import pytest
from litestar import Litestar

from app.settings import Settings
from tests.conftest import client_of, random_user, running

TASKS: Final = "/api/me/tasks"
OF_LISTS: Final = ("etag", "link", "content-encoding", "content-type", "vary", "cache-control")


@pytest.fixture(params=[True, False], ids=["direct", "litestar"])
async def wrapping(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[tuple[Litestar, Settings]]:
    settings = replace(settings, list_envelope="tasks", direct_dispatch=request.param)
    async with running(settings) as app:
        yield app, settings


@pytest.fixture
async def wrapped(wrapping: tuple[Litestar, Settings], user_id: str) -> AsyncIterator[httpx.AsyncClient]:
    """The user of `client`, at a service with an envelope."""
    async with client_of(*wrapping, user_id) as client:
        yield client


async def fill(client: httpx.AsyncClient) -> None:
    for number in range(10):
        await client.post(TASKS, json={"title": f"Task {number}", "description": "x" * 200})


async def test_a_user_who_has_never_written_has_an_empty_list_in_it(wrapped: httpx.AsyncClient) -> None:
    for _ in range(2):
        answer = await wrapped.get(TASKS)
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (200, b'{"tasks":[]}', '"0"')
    await wrapped.post(TASKS, json={"title": "One"})
    assert (await wrapped.get(TASKS, params={"search": "other"})).content == b'{"tasks":[]}'
    await wrapped.delete("/api/me")
    assert (await wrapped.get(TASKS)).content == b'{"tasks":[]}'


@pytest.mark.parametrize("coding", ["identity", "gzip"])
async def test_it_changes_the_body_of_lists_and_nothing_else(
    client: httpx.AsyncClient, wrapped: httpx.AsyncClient, coding: str
) -> None:
    await fill(client)
    for query in ({}, {"limit": "4"}, {"limit": "4", "sort": "title"}, {"search": "nothing"}):
        bare = await client.get(TASKS, params=query, headers={"Accept-Encoding": coding})
        for _ in range(2):  # from the database, and from the cache
            answer = await wrapped.get(TASKS, params=query, headers={"Accept-Encoding": coding})
            assert answer.content == b'{"tasks":%b}' % bare.content
            assert [answer.headers.get(name) for name in OF_LISTS] == [bare.headers.get(name) for name in OF_LISTS]
        unchanged = await wrapped.get(
            TASKS, params=query, headers={"Accept-Encoding": coding, "If-None-Match": answer.headers["etag"]}
        )
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert unchanged.headers["etag"] == answer.headers["etag"]


async def test_what_is_cached_packed_has_it_inside(wrapped: httpx.AsyncClient) -> None:
    await fill(wrapped)
    for _ in range(2):
        async with wrapped.stream("GET", TASKS, headers={"Accept-Encoding": "gzip"}) as answer:
            body = b"".join([part async for part in answer.aiter_raw()])
        assert answer.headers["content-encoding"] == "gzip"
        assert len(body) == int(answer.headers["content-length"])
        assert len(json.loads(zlib.decompress(body, zlib.MAX_WBITS | 16))["tasks"]) == 10


async def test_following_the_links_finds_every_task(wrapped: httpx.AsyncClient, next_page: Any) -> None:
    await fill(wrapped)
    url, titles = f"{TASKS}?limit=3", []
    while url:
        page = await wrapped.get(url)
        titles += [task["title"] for task in page.json()["tasks"]]
        url = next_page(page)
    assert titles == [f"Task {number}" for number in reversed(range(10))]


async def test_tasks_accounts_and_errors_have_none(wrapped: httpx.AsyncClient) -> None:
    created = await wrapped.post(TASKS, json={"title": "One"})
    assert created.json() == (await wrapped.get(created.headers["location"])).json()
    assert created.json()["title"] == "One"
    assert (await wrapped.get("/api/me/stats")).json()["total"] == 1
    refused = await wrapped.get(TASKS, params={"limit": "0"})
    assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")
    assert "tasks" not in refused.json()


async def test_workers_with_different_settings_share_a_database(settings: Settings) -> None:
    user_id = random_user()
    async with AsyncExitStack() as stack:
        bodies: list[Any] = []
        for envelope in (None, "tasks", "_Data9"):
            own = replace(settings, list_envelope=envelope)
            app = await stack.enter_async_context(running(own))
            client = await stack.enter_async_context(client_of(app, own, user_id))
            if not bodies:
                await client.post(TASKS, json={"title": "One"})
            bodies.append((await client.get(TASKS)).json())
    assert bodies == [bodies[0], {"tasks": bodies[0]}, {"_Data9": bodies[0]}]
    assert len(bodies[0]) == 1

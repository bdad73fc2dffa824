from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar import Litestar

from app.settings import Settings
from app.tasks.list_cache import OVERHEAD, ListCache, Page
from app.tasks.query import ListQuery
from tests.conftest import client_of, random_user, running
from tests.wire import Relay, relayed

TASKS = "/api/me/tasks"
QUERIES: list[dict[str, str]] = [{}, {"status": "pending"}, {"limit": "1"}, {"sort": "title"}, {"search": "a"}]

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), st.sampled_from(["a", "b"])),
        st.tuples(st.just("complete"), st.integers(0, 3)),
        st.tuples(st.just("delete"), st.integers(0, 3)),
        st.tuples(st.just("erase"), st.just(0)),
        st.tuples(st.just("read"), st.integers(0, len(QUERIES) - 1)),
    ),
    max_size=25,
)


@pytest.fixture
async def workers(app: Litestar, settings: Settings) -> AsyncIterator[list[tuple[Litestar, Settings]]]:
    """Two workers that each have a cache of their own, and one, the last, that has none."""
    async with AsyncExitStack() as stack:
        second = await stack.enter_async_context(running(settings))
        bare = replace(settings, list_cache_bytes=0)
        third = await stack.enter_async_context(running(bare))
        yield [(app, settings), (second, settings), (third, bare)]


async def act(client: httpx.AsyncClient, action: str, argument: Any) -> None:
    if action == "create":
        await client.post(TASKS, json={"title": argument})
    elif action == "erase":
        await client.delete("/api/me")
    else:
        ids = [task["id"] for task in (await client.get(TASKS, params={"order": "asc"})).json()]
        if argument < len(ids):
            url = f"{TASKS}/{ids[argument]}"
            await (client.delete(url) if action == "delete" else client.patch(f"{url}/complete"))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.integers(0, 1), STEPS), max_size=4))
async def test_answers_with_the_cache_are_those_without_it_whichever_worker_wrote(
    workers: list[tuple[Litestar, Settings]], steps: list[tuple[int, list[tuple[str, Any]]]]
) -> None:
    user_id = random_user()
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(client_of(app, settings, user_id)) for app, settings in workers]
        for writer, actions in steps:
            for action, argument in actions:
                if action != "read":
                    await act(clients[writer], action, argument)
                    continue
                for params in (QUERIES[argument], QUERIES[0]):
                    answers = [await client.get(TASKS, params=params) for client in clients]
                    assert len({answer.content for answer in answers}) == 1
                    assert len({answer.headers["etag"] for answer in answers}) == 1
                    assert len({answer.headers.get("link") for answer in answers}) == 1


async def test_an_unchanged_list_is_not_sent_by_the_database_again(settings: Settings, user_id: str) -> None:
    async with relayed(settings.database_url) as (relay, url):
        through = replace(settings, database_url=url)
        async with running(through) as app, client_of(app, through, user_id) as client:
            await client.post(TASKS, json={"title": "x" * 200, "description": "y" * 1000})
            first = await client.get(TASKS)
            received = await bytes_received(relay, client)
            assert received < len(first.content)
            await client.post(TASKS, json={"title": "z"})
            assert await bytes_received(relay, client) > len(first.content)


async def bytes_received(relay: Relay, client: httpx.AsyncClient) -> int:
    before = relay.received
    assert (await client.get(TASKS)).status_code == 200
    return relay.received - before


async def test_an_erased_and_recreated_user_never_meets_an_old_revision(client: httpx.AsyncClient) -> None:
    for _ in range(5):
        await client.post(TASKS, json={"title": "old"})
    old = (await client.get(TASKS)).headers["etag"]
    await client.delete("/api/me")
    assert (await client.get(TASKS, headers={"If-None-Match": old})).json() == []
    await client.post(TASKS, json={"title": "new"})
    response = await client.get(TASKS, headers={"If-None-Match": old})
    assert [task["title"] for task in response.json()] == ["new"]
    assert int(response.headers["etag"].strip('W/"')) > int(old.strip('W/"'))


def page(size: int, revision: int = 1) -> Page:
    return Page(revision, b"x" * size)


def test_the_cache_stays_within_its_bytes_and_drops_what_was_used_least_recently() -> None:
    cache = ListCache(3 * (OVERHEAD + 100))
    query = ListQuery()
    for user in ("a", "b", "c"):
        cache.put((user, query, None), page(100))
    assert cache.get(("a", query, None)) is not None
    cache.put(("d", query, None), page(100))
    assert [user for user in "abcd" if cache.get((user, query, None))] == ["a", "c", "d"]
    assert cache.size == 3 * (OVERHEAD + 100)
    cache.put(("a", query, None), page(50, revision=2))
    assert cache.size == 3 * (OVERHEAD + 100) - 50
    cache.drop(("a", query, None))
    cache.drop(("a", query, None))
    assert cache.size == 2 * (OVERHEAD + 100)


@pytest.mark.parametrize("capacity", [0, 1500])
def test_a_page_larger_than_the_cache_is_not_kept(capacity: int) -> None:
    cache = ListCache(capacity)
    cache.put(("a", ListQuery(), None), page(2000))
    assert cache.get(("a", ListQuery(), None)) is None
    assert cache.size == 0

"""The documented code for the browser keeps one token for as long as it is good, in Chromium."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from playwright.async_api import Browser

from tests.chromium import launched, needs_chromium
from tests.frontend.conftest import Frontend
from tests.frontend.tab import Tab, opened

pytestmark = needs_chromium

LIST = 'api.GET("/api/{user_id}/tasks", { params: { path: { user_id: "me" } } })'


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


@pytest.fixture
async def tab(frontend: Frontend, browser: Browser) -> AsyncIterator[Tab]:
    async with opened(browser, frontend) as tab:
        yield tab


async def test_calls_at_the_same_time_and_later_ones_share_one_token(tab: Tab) -> None:
    answers = await tab.run(
        f"(await Promise.all(Array.from({{ length: 10 }}, () => {LIST}))).map(({{ data }}) => data)"
    )
    assert answers == [[]] * 10
    assert (await tab.run(f"await {LIST}"))["data"] == []
    assert tab.token_requests == 1
    assert all(call.url.startswith(tab.frontend.service) for call in tab.calls)


async def test_typed_client_creates_and_lists(tab: Tab) -> None:
    created = await tab.run(
        'await api.POST("/api/{user_id}/tasks", { params: { path: { user_id: "me" } }, body: { title: "Buy milk" } })'
    )
    assert created["data"]["title"] == "Buy milk"
    assert (await tab.run(f"await {LIST}"))["data"] == [created["data"]]


async def test_token_is_in_memory_only(tab: Tab) -> None:
    token = await tab.run("await lib.getToken()")
    state = await tab.page.context.storage_state(indexed_db=True)
    assert token not in json.dumps(state)
    assert await tab.page.evaluate("sessionStorage.length") == 0
    assert token not in tab.page.url


@pytest.mark.parametrize("year", [2020, 2040])
async def test_token_is_renewed_shortly_before_it_expires_whatever_the_clock_of_the_device_says(
    tab: Tab, year: int
) -> None:
    await tab.page.clock.install(time=datetime(year, 1, 1, tzinfo=UTC))
    await tab.run("await lib.getToken()")
    await tab.page.clock.fast_forward("13:00")
    await tab.run("await lib.getToken()")
    assert tab.token_requests == 1
    await tab.page.clock.fast_forward("01:00")
    await tab.run("await Promise.all([lib.getToken(), lib.getToken()])")
    assert tab.token_requests == 2


async def test_refused_token_is_replaced_and_the_request_with_its_body_sent_once_more(tab: Tab) -> None:
    await tab.refuse(1)
    created = await tab.run(
        'await api.POST("/api/{user_id}/tasks", { params: { path: { user_id: "me" } }, body: { title: "Again" } })'
    )
    assert created["data"]["title"] == "Again"
    assert [task["title"] for task in (await tab.run(f"await {LIST}"))["data"]] == ["Again"]
    assert tab.token_requests == 2


async def test_calls_that_are_refused_at_the_same_time_share_the_new_token(tab: Tab) -> None:
    await tab.run("await lib.getToken()")
    await asyncio.sleep(1.1)  # a token of the same second is the same token
    await tab.refuse(5)
    answers = await tab.run(f"(await Promise.all(Array.from({{ length: 5 }}, () => {LIST}))).map(({{ data }}) => data)")
    assert answers == [[]] * 5
    assert tab.token_requests == 2
    assert len(tab.calls) == 10


async def test_second_401_is_the_answer(tab: Tab) -> None:
    await tab.refuse(100)
    answer = await tab.run(f"await {LIST}")
    assert answer["error"]["code"] == "unauthorized"
    assert len(tab.calls) == 2


async def test_no_token_outlives_signing_out(tab: Tab) -> None:
    await tab.run(
        'await api.POST("/api/{user_id}/tasks", { params: { path: { user_id: "me" } }, body: { title: "Mine" } })'
    )
    await tab.run("(await authClient.signOut(), lib.forgetToken())")
    status = await tab.run(f"await {LIST}.then(() => null, (error) => error.cause.status)")
    assert status == 401
    await tab.sign_up()
    assert (await tab.run(f"await {LIST}"))["data"] == []


async def test_behind_rewrites_every_request_goes_to_the_origin_of_the_page(tab: Tab) -> None:
    for title in "First", "Second":
        body = f'{{ params: {{ path: {{ user_id: "me" }} }}, body: {{ title: "{title}" }} }}'
        assert (await tab.run(f'await sameOrigin.POST("/api/{{user_id}}/tasks", {body})'))["data"]["title"] == title
    link = await tab.run('(await lib.apiFetch("/api/me/tasks?limit=1")).headers.get("Link")')
    following = link.partition(">")[0].removeprefix("<")
    listed = await tab.run(f"await (await lib.apiFetch({json.dumps(following)})).json()")
    assert [task["title"] for task in listed] == ["First"]
    assert {request.url.startswith(f"{tab.frontend.site}/") for request in tab.requests} == {True}
    assert all([(await call.all_headers())["authorization"].startswith("Bearer ey") for call in tab.calls])

"""The documented code for the browser keeps one token for as long as it is good, in Chromium."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Request, Route, async_playwright

from tests.frontend.conftest import Frontend
from tests.test_docs_page import CHROMIUM, FLAGS, needs_chromium

pytestmark = needs_chromium

LIST = 'api.GET("/api/{user_id}/tasks", { params: { path: { user_id: "me" } } })'


@dataclass
class Tab:
    """A page of the site, in which somebody is signed in."""

    page: Page
    frontend: Frontend
    requests: list[Request] = field(default_factory=list)

    def saw(self, request: Request) -> None:
        self.requests.append(request)

    async def run(self, expression: str) -> Any:
        """Evaluate code that sees what the documented modules export."""
        script = f"async () => {{ const {{ api, sameOrigin, authClient, ...lib }} = site; return {expression}; }}"
        return await self.page.evaluate(script)

    async def sign_up(self) -> None:
        email = f"u{secrets.token_hex(8)}@example.org"
        person = {"email": email, "name": "Someone", "password": secrets.token_hex(8)}
        answer = await self.run(f"await authClient.signUp.email({json.dumps(person)})")
        assert answer["error"] is None

    @property
    def token_requests(self) -> int:
        return sum(request.url == f"{self.frontend.site}/api/auth/token" for request in self.requests)

    @property
    def calls(self) -> list[Request]:
        """Those of the API, wherever they went."""
        return [request for request in self.requests if "/api/me/" in request.url]

    async def refuse(self, times: int) -> None:
        """Let the service get a token that it refuses, that many times."""
        left = times

        async def spoil(route: Route) -> None:
            nonlocal left
            headers = await route.request.all_headers()
            if left > 0 and route.request.method != "OPTIONS":
                left -= 1
                headers["authorization"] = headers["authorization"][:-6] + "AAAAAA"
            await route.continue_(headers=headers)

        await self.page.route(f"{self.frontend.service}/**", spoil)


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
async def tab(frontend: Frontend, browser: Browser) -> AsyncIterator[Tab]:
    address = ".".join(str(secrets.randbelow(256)) for _ in range(4))
    context = await browser.new_context()
    tab = Tab(await context.new_page(), frontend)
    # sign-ups are counted by address
    await tab.page.route(f"{frontend.site}/api/auth/sign-up/**", lambda route: forward(route, address))
    context.on("request", tab.saw)
    await tab.page.goto(frontend.site)
    await tab.page.wait_for_function("window.site")
    await tab.sign_up()
    tab.requests.clear()
    yield tab
    await context.close()


async def forward(route: Route, address: str) -> None:
    await route.continue_(headers={**await route.request.all_headers(), "x-forwarded-for": address})


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

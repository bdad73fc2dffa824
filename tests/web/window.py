"""A window of the app, in a browser of its own, by what a person sees in it."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
from playwright.async_api import Browser, Error, Locator, Page, Request, Response, expect

from tests.auth.better_auth.issuer import PASSWORD
from tests.web.stack import Stack


@dataclass
class Window:
    page: Page
    stack: Stack
    email: str = field(default_factory=lambda: f"u{secrets.token_hex(8)}@example.org")
    user_id: str = ""
    requests: list[Request] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @classmethod
    async def fresh(cls, stack: Stack, browser: Browser) -> Self:
        """A browser in which nobody is signed in."""
        context = await browser.new_context(reduced_motion="reduce")
        window = cls(await context.new_page(), stack)
        context.on("request", window.saw)
        context.on("response", window.heard)
        window.page.on("pageerror", window.complained)
        return window

    def saw(self, request: Request) -> None:
        self.requests.append(request)

    def heard(self, answer: Response) -> None:
        self.answers.append(answer)

    def complained(self, error: Error) -> None:
        self.complaints.append(str(error))

    async def close(self) -> None:
        await self.page.context.close()
        assert self.complaints == []

    async def sign_up(self) -> None:
        """By a call, as the form does."""
        person = {"name": "Ada", "email": self.email, "password": PASSWORD}
        await self.authenticate("sign-up", person)

    async def authenticate(self, how: str, person: dict[str, str]) -> None:
        headers = {"Origin": self.stack.url}
        url = f"{self.stack.url}/api/auth/{how}/email"
        answer = await self.page.request.post(url, data=person, headers=headers)
        self.user_id = (await answer.json())["user"]["id"]

    async def second(self) -> Self:
        """Another device of the same person."""
        browser = self.page.context.browser
        assert browser is not None
        other = await self.fresh(self.stack, browser)
        await other.authenticate("sign-in", {"email": self.email, "password": PASSWORD})
        await other.open()
        return other

    async def open(self) -> None:
        await self.page.goto(self.stack.url)
        await self.says("Live")

    async def says(self, text: str) -> None:
        await expect(self.page.get_by_text(text, exact=True)).to_be_visible(timeout=30_000)

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def box(self, title: str) -> Locator:
        return self.page.get_by_role("checkbox", name=f"Done: {title}", exact=True)

    async def shows(self, *titles: str) -> None:
        """The list has these, in this order, and no others."""
        labels = [f"Done: {title}" for title in titles]
        boxes = self.page.get_by_role("checkbox")
        await expect(boxes).to_have_count(len(labels), timeout=30_000)
        for at, label in enumerate(labels):
            await expect(boxes.nth(at)).to_have_accessible_name(label, timeout=30_000)

    async def add(self, title: str) -> None:
        await self.page.get_by_label("New task", exact=True).fill(title)
        await self.page.keyboard.press("Enter")
        await expect(self.box(title)).to_be_visible()

    async def complete(self, title: str) -> None:
        await self.box(title).click()
        await expect(self.box(title)).to_be_checked()

    async def begin_editing(self, title: str, becomes: str) -> None:
        await self.button(f"Edit {title}").click()
        await self.page.get_by_label("Title", exact=True).fill(becomes)

    async def rename(self, title: str, becomes: str) -> None:
        await self.begin_editing(title, becomes)
        await self.button("Save").click()

    async def holds_what_is_stored(self) -> None:
        """Wait until the window has got the list that the service has."""
        async with asyncio.timeout(30), self._client() as client:
            etag = (await client.get("/api/me/tasks")).headers["etag"]
            while not any(answer.headers.get("etag") == etag for answer in self.answers):
                await asyncio.sleep(0.05)

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[httpx.AsyncClient]:
        """Have a client of the service for whoever is signed in."""
        answer = await self.page.request.get(f"{self.stack.url}/api/auth/token")
        headers = {"Authorization": f"Bearer {(await answer.json())['token']}"}
        async with httpx.AsyncClient(base_url=self.stack.service, headers=headers, timeout=30) as client:
            yield client

    async def stored(self, *titles: str) -> list[dict[str, Any]]:
        """What the service has, once these are the titles."""
        async with asyncio.timeout(30), self._client() as client:
            while True:
                listed = await client.get("/api/me/tasks")
                tasks: list[dict[str, Any]] = listed.raise_for_status().json()
                if [task["title"] for task in tasks] == [*titles]:
                    return tasks
                await asyncio.sleep(0.05)

    @property
    def streams(self) -> list[Response]:
        return [answer for answer in self.answers if answer.url.endswith("/api/me/events") and answer.ok]

    def sent(self, method: str, end: str = "") -> list[Request]:
        """Requests of the API, the tokens' and the streams' aside."""
        return [one for one in self.requests if one.method == method and f"/api/me/tasks{end}" in one.url]


@asynccontextmanager
async def opened(stack: Stack, browser: Browser) -> AsyncIterator[Window]:
    window = await Window.fresh(stack, browser)
    await window.sign_up()
    await window.open()
    yield window
    await window.close()

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import httpx
import pytest
from playwright.async_api import Browser, Locator, Page, expect

from app.asgi import create_app
from app.auth.mint import mint
from app.auth.tokens import TokenVerifier
from app.db.database import Database
from app.docs.page import DEVELOPMENT_USER
from app.settings import Settings
from tests.chromium import launched, needs_chromium
from tests.conftest import SENSITIVE, random_user

OPERATIONS: Final = 17


@dataclass
class Seen:
    """What the browser did behind the page."""

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


@asynccontextmanager
async def opened(
    browser: Browser, address: str, width: int = 1280, color_scheme: Literal["light", "dark"] = "light"
) -> AsyncIterator[tuple[Page, Seen]]:
    """The documentation page, with cookies, storage and a cache of its own, its operations rendered."""
    seen = Seen()
    context = await browser.new_context(viewport={"width": width, "height": 1600}, color_scheme=color_scheme)
    async with context:
        page = await context.new_page()
        context.on("request", lambda request: seen.requests.append(request.url))
        page.on("console", lambda message: seen.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        await page.goto(f"{address}/docs")
        await page.locator(".opblock").nth(OPERATIONS - 1).wait_for()
        yield page, seen


async def unfolded(page: Page, operation: str) -> Locator:
    """An operation with its parameters."""
    block = page.locator(f"[id$='-{operation}']")
    await block.locator(".opblock-summary").click()
    await block.get_by_role("button", name="Execute").wait_for()
    return block


def task_id(block: Locator) -> Locator:
    return block.get_by_placeholder("task_id")


async def execute(page: Page, operation: str) -> tuple[str, str]:
    """Open an operation, press Execute, and return the status and the body that the page shows."""
    block = await unfolded(page, operation)
    await block.get_by_role("button", name="Execute").click()
    answer = block.locator(".live-responses-table .response")
    await answer.wait_for()
    return (
        await answer.locator(".response-col_status").first.inner_text(),
        await answer.locator(".response-col_description").inner_text(),
    )


@needs_chromium
async def test_in_development_the_page_creates_and_lists_tasks_at_once(development: str, browser: Browser) -> None:
    async with opened(browser, development) as (page, seen):
        status, created = await execute(page, "createTask")
        assert status.startswith("201"), created
        status, listed = await execute(page, "listTasks")
        assert status.startswith("200"), listed
        assert f'"user_id": "{DEVELOPMENT_USER}"' in listed
        assert "Buy milk" in listed
    assert seen.complaints == []
    assert {httpx.URL(url).copy_with(path="/", query=None) for url in seen.requests} == {httpx.URL(development + "/")}


@needs_chromium
async def test_ids_of_tasks_that_exist_are_filled_in_from_an_empty_account_on(
    development: str, browser: Browser
) -> None:
    async with opened(browser, development) as (page, seen):
        assert (await execute(page, "eraseAccount"))[0].startswith("204")
        await expect(task_id(await unfolded(page, "getTask"))).to_have_value("")
        status, created = await execute(page, "createTask")
        assert status.startswith("201"), created
        await expect(task_id(page.locator("[id$='-getTask']"))).to_have_value(re.compile("[1-9][0-9]*"))
        for operation in ("putTask", "completeTask"):
            status, written = await execute(page, operation)
            assert status.startswith("200"), written
        assert (await execute(page, "deleteTask"))[0].startswith("204")
        await expect(task_id(page.locator("[id$='-getTask']"))).to_have_value("")
    assert seen.complaints == []


@needs_chromium
async def test_a_pasted_bearer_prefix_does_no_harm(production: str, settings: Settings, browser: Browser) -> None:
    token = mint(settings, random_user(), 600)
    SENSITIVE.add(token)
    async with opened(browser, production) as (page, _):
        await page.locator(".auth-wrapper .authorize").first.click()
        await page.locator(".modal-ux input").fill(f"Bearer {token}")
        await page.locator(".modal-ux button[type=submit]").click()
        await page.locator(".modal-ux .btn-done").click()
        status, listed = await execute(page, "listTasks")
        assert status.startswith("200"), listed
        curl = await page.locator(".curl-command").first.inner_text()
        assert f"Bearer {token}" in curl
        assert "Bearer Bearer" not in curl
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer Bearer {token}"}) as client:
        assert (await client.get(f"{production}/api/me/tasks")).status_code == 401


SCROLLS: Final = "[document.scrollingElement.scrollWidth, innerWidth]"
LIGHTNESS: Final = """
  (selector, property) => {
    const value = getComputedStyle(document.querySelector(selector))[property];
    return value.match(/[0-9.]+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 765;
  }
"""


@needs_chromium
@pytest.mark.parametrize(("width", "color_scheme"), [(390, "dark"), (1280, "light")])
async def test_the_page_fits_its_window_and_the_colours_of_the_system(
    development: str, browser: Browser, width: int, color_scheme: Literal["light", "dark"]
) -> None:
    async with opened(browser, development, width, color_scheme) as (page, seen):
        assert (await execute(page, "listTasks"))[0].startswith("200")
        await unfolded(page, "createTask")
        content, window = await page.evaluate(SCROLLS)
        assert window == width
        assert content <= window
        dark = color_scheme == "dark"
        for selector in ("body", ".opblock-body input", ".highlight-code pre"):
            lightness = await page.evaluate(f"({LIGHTNESS})('{selector}', 'backgroundColor')")
            assert lightness < 0.25 or not (dark or selector == ".highlight-code pre"), selector
        for selector in (".info .title", ".opblock-body input", ".parameter__name", ".opblock-description-wrapper p"):
            lightness = await page.evaluate(f"({LIGHTNESS})('{selector}', 'color')")
            assert (lightness > 0.7) is dark, selector
    assert seen.complaints == []


@needs_chromium
async def test_in_production_the_page_shows_every_operation_and_signs_nobody_in(
    production: str, browser: Browser
) -> None:
    async with opened(browser, production) as (page, seen):
        assert await page.locator(".opblock").count() == OPERATIONS
        assert await page.locator(".auth-wrapper .authorize.unlocked").count() == 1
        assert seen.complaints == []
        status, _ = await execute(page, "listTasks")
        assert status.startswith("401")
    assert {httpx.URL(url).copy_with(path="/", query=None) for url in seen.requests} == {httpx.URL(production + "/")}


async def start_script(
    settings: Settings, *, caller: str = "127.0.0.1", host: str = "127.0.0.1:8000", site: str = "same-origin"
) -> str:
    transport = httpx.ASGITransport(create_app(settings), client=(caller, 50_000))  # type: ignore[arg-type]  # Litestar's scopes are TypedDicts
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
        answer = await client.get("/docs/start.js", headers={"Sec-Fetch-Site": site})
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "no-store" in answer.headers["cache-control"]
    return answer.text


TOKEN: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")


@pytest.mark.parametrize(
    ("host", "caller"),
    [
        ("127.0.0.1:8000", "127.0.0.1"),
        ("localhost:8000", "::ffff:127.0.0.1"),  # as the system names it on a socket of both families
        ("[::1]:8000", "::1"),
    ],
)
async def test_in_development_the_page_holds_a_token_of_the_development_user(
    settings: Settings, host: str, caller: str
) -> None:
    script = await start_script(replace(settings, development=True), host=host, caller=caller)
    first_line, _, _ = script.partition("\n")
    token = TOKEN.search(first_line)
    assert token is not None
    owner = await TokenVerifier(settings, Database(settings)).verify(token[0])
    assert owner is not None
    assert owner.id == DEVELOPMENT_USER


async def test_in_production_the_page_holds_no_token(settings: Settings) -> None:
    assert (await start_script(settings)).startswith("const token = null;")


async def test_in_development_callers_from_other_machines_get_no_token(settings: Settings) -> None:
    script = await start_script(replace(settings, development=True), caller="192.0.2.7")
    assert script.startswith("const token = null;")


async def test_in_development_other_names_of_this_machine_get_no_token(settings: Settings) -> None:
    script = await start_script(replace(settings, development=True), host="attacker.example:8000")
    assert script.startswith("const token = null;")


@pytest.mark.parametrize("site", ["same-site", "cross-site"])
async def test_in_development_pages_of_other_origins_get_no_token(settings: Settings, site: str) -> None:
    script = await start_script(replace(settings, development=True), site=site)
    assert script.startswith("const token = null;")

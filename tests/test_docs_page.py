import re
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import httpx
import pytest
from playwright.async_api import Page, async_playwright

from app.asgi import create_app
from app.auth.tokens import TokenVerifier
from app.db.database import Database
from app.docs import DEVELOPMENT_USER
from app.settings import Settings
from tests.servers import serving

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
OPERATIONS: Final = 13

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the PATH")


@dataclass
class Seen:
    """What the browser did behind the page."""

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@asynccontextmanager
async def opened(address: str, folder: Path) -> AsyncIterator[tuple[Page, Seen]]:
    """The documentation page in a browser with an empty profile, its operations rendered."""
    seen = Seen()
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            folder, executable_path=CHROMIUM, args=FLAGS, viewport={"width": 1280, "height": 1600}
        )
        page = context.pages[0]
        context.on("request", lambda request: seen.requests.append(request.url))
        page.on("console", lambda message: seen.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        await page.goto(f"{address}/docs")
        await page.locator(".opblock").nth(OPERATIONS - 1).wait_for()
        yield page, seen
        await context.close()


async def execute(page: Page, operation: str) -> tuple[str, str]:
    """Open an operation, press Execute, and return the status and the body that the page shows."""
    block = page.locator(f"[id$='-{operation}']")
    await block.locator(".opblock-summary").click()
    await block.get_by_role("button", name="Execute").click()
    answer = block.locator(".live-responses-table .response")
    await answer.wait_for()
    return (
        await answer.locator(".response-col_status").first.inner_text(),
        await answer.locator(".response-col_description").inner_text(),
    )


@pytest.fixture
def production(settings: Settings) -> Iterator[str]:
    with serving(settings) as address:
        yield address


@pytest.fixture
def development(settings: Settings) -> Iterator[str]:
    with serving(replace(settings, development=True)) as address:
        yield address


@needs_chromium
async def test_in_development_the_page_creates_and_lists_tasks_at_once(development: str, tmp_path: Path) -> None:
    async with opened(development, tmp_path) as (page, seen):
        status, created = await execute(page, "createTask")
        assert status.startswith("201"), created
        status, listed = await execute(page, "listTasks")
        assert status.startswith("200"), listed
        assert f'"user_id": "{DEVELOPMENT_USER}"' in listed
        assert "Buy milk" in listed
    assert seen.complaints == []
    assert {httpx.URL(url).copy_with(path="/", query=None) for url in seen.requests} == {httpx.URL(development + "/")}


@needs_chromium
async def test_in_production_the_page_shows_every_operation_and_signs_nobody_in(
    production: str, tmp_path: Path
) -> None:
    async with opened(production, tmp_path) as (page, seen):
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


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000"])
async def test_in_development_the_page_holds_a_token_of_the_development_user(settings: Settings, host: str) -> None:
    script = await start_script(replace(settings, development=True), host=host)
    first_line, _, _ = script.partition("\n")
    token = TOKEN.search(first_line)
    assert token is not None
    caller = await TokenVerifier(settings, Database(settings)).verify(token[0])
    assert caller is not None
    assert caller.id == DEVELOPMENT_USER


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

"""The web app to copy, in Chromium: what a person does in it reaches the service, and what they see is what it has."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from http import HTTPStatus

import pytest
from playwright.async_api import Browser, Route, expect

from tests.auth.better_auth.issuer import PASSWORD
from tests.chromium import needs_chromium
from tests.web.stack import APP, Stack
from tests.web.window import Window

LINES, LINES_OF_A_FILE = 700, 150


def test_app_can_be_read_in_one_sitting() -> None:
    lengths = [
        len(path.read_text().splitlines())
        for path in [*APP.glob("src/*.ts"), *APP.glob("src/*.tsx")]
        if path.name != "schema.d.ts"
    ]
    assert sum(lengths) < LINES
    assert max(lengths) < LINES_OF_A_FILE


def test_readme_starts_it_as_these_tests_do() -> None:
    assert re.findall(r"```bash\n(.*?)```", (APP / "README.md").read_text(), flags=re.DOTALL) == ["npm ci\nnpm start\n"]


@pytest.mark.parametrize("target", re.findall(r"\]\(([^):]+)\)", (APP / "README.md").read_text()))
def test_readme_links_to_what_is_there(target: str) -> None:
    assert (APP / target.partition("#")[0]).exists()


@needs_chromium
async def test_somebody_signs_up_creates_a_task_completes_it_and_finds_it_again(stack: Stack, browser: Browser) -> None:
    window = await Window.fresh(stack, browser)
    page = window.page
    await page.goto(stack.url)
    await window.button("I am new here").click()
    await page.get_by_label("Name", exact=True).fill("Ada")
    await page.get_by_label("E-mail").fill(window.email)
    await page.get_by_label("Password").fill(PASSWORD)
    await window.button("Create account").click()
    await page.get_by_label("Priority", exact=True).select_option("High")
    await page.get_by_label("Due", exact=True).fill("2031-02-03")
    await window.add("Buy milk")
    await window.complete("Buy milk")
    await expect(window.button("Done 1")).to_be_visible()
    [task] = await window.stored("Buy milk")
    assert (task["priority"], task["due_date"]) == ("HIGH", "2031-02-03T00:00:00+00:00")
    await window.button("To do 0").click()
    await window.shows()
    await window.button("Sign out").click()
    await page.get_by_label("E-mail").fill(window.email)
    await page.get_by_label("Password").fill("not that one")
    await window.button("Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("Invalid")
    await page.get_by_label("Password").fill(PASSWORD)
    await window.button("Sign in").click()
    await expect(window.box("Buy milk")).to_be_checked()
    await window.close()


@needs_chromium
async def test_deleted_task_comes_back_by_undo(window: Window) -> None:
    await window.add("Keep me")
    await window.add("Delete me")
    await window.button("Delete Delete me").click()
    await window.shows("Keep me")
    await window.stored("Keep me")
    await window.button("Undo").click()
    await window.shows("Delete me", "Keep me")
    await window.stored("Delete me", "Keep me")


@needs_chromium
async def test_list_that_has_not_changed_is_kept_when_the_stream_reconnects(window: Window) -> None:
    await window.add("Still here")
    await window.stored("Still here")
    await window.holds_what_is_stored()
    async with window.page.expect_response(lambda answer: answer.url.endswith("/api/me/tasks")) as answer:
        await window.page.evaluate("dispatchEvent(new Event('online'))")
    assert (await answer.value).status == 304
    await window.shows("Still here")


@needs_chromium
async def test_stream_goes_on_when_the_token_expires_in_the_middle_and_nobody_signs_in_again(
    stack: Stack, browser: Browser
) -> None:
    window = await Window.fresh(stack, browser)
    await window.sign_up()
    await give_once(window, lambda now: stack.token(window.user_id, now, now + 4))
    await window.open()
    other = await window.second()
    async with asyncio.timeout(30):
        while len(window.streams) < 2:
            await asyncio.sleep(0.05)
    await other.add("After it")
    await expect(window.box("After it")).to_be_visible()
    await other.close()
    await window.close()


@needs_chromium
async def test_token_that_is_refused_is_replaced_once_and_the_write_with_it_repeated(
    stack: Stack, browser: Browser
) -> None:
    window = await Window.fresh(stack, browser)
    await window.sign_up()
    await give_once(window, lambda now: stack.token(window.user_id, now - 900, now - 60))
    await window.open()
    await window.add("Written")
    await window.stored("Written")
    assert sum(answer.url.endswith("/api/auth/token") for answer in window.answers) == 2  # for all calls
    assert any(answer.status == 401 for answer in window.answers)
    await window.close()


async def give_once(window: Window, token: Callable[[int], str]) -> None:
    """Have the first call for a token answered with one that is made at that moment."""

    async def give(route: Route) -> None:
        await route.fulfill(json={"token": token(int(time.time()))})

    await window.page.route("**/api/auth/token", give, times=1)


@needs_chromium
async def test_write_is_repeated_when_the_server_says_so_and_after_a_lost_answer_and_happens_once(
    window: Window,
) -> None:
    attempts: list[float] = []

    async def stand_in_the_way(route: Route) -> None:
        attempts.append(time.monotonic())
        if route.request.method != "POST" or len(attempts) > 2:
            await route.continue_()
        elif len(attempts) == 1:
            problem = json.dumps({"detail": "The database does not answer"})
            await route.fulfill(status=503, headers={"Retry-After": "2"}, body=problem)
        else:
            await route.fetch()
            await route.abort()

    await window.page.route("**/api/me/tasks", stand_in_the_way)
    async with window.page.expect_response(
        lambda answer: answer.request.method == "POST" and answer.status == HTTPStatus.CREATED, timeout=60_000
    ) as answer:
        await window.add("Only once")
        await window.stored("Only once")
    keys = {request.headers["idempotency-key"] for request in window.sent("POST")}
    assert (await answer.value).headers["idempotent-replayed"] == "true"
    assert len(keys) == 1
    assert attempts[1] - attempts[0] >= 2  # seconds, as the answer said
    await window.stored("Only once")
    await window.shows("Only once")


@needs_chromium
async def test_refused_write_is_taken_back_and_says_why(window: Window) -> None:
    await window.add("Fine")
    await window.stored("Fine")
    await window.page.evaluate("document.querySelector('[name=title]').removeAttribute('maxlength')")
    await window.page.get_by_label("New task").fill("x" * 201)
    await window.page.keyboard.press("Enter")
    await expect(window.page.get_by_text("was not created")).to_be_visible()
    await window.shows("Fine")

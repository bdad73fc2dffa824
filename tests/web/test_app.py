"""The web app to copy, in Chromium: what a person does in it reaches the service, and what they see is what it has."""

import asyncio
import json
import time

from playwright.async_api import Browser, Route, expect

from tests.auth.better_auth.issuer import PASSWORD
from tests.docs.test_page import needs_chromium
from tests.web.stack import Stack
from tests.web.window import Window

pytestmark = needs_chromium


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


async def test_deleted_task_comes_back_by_undo(window: Window) -> None:
    await window.add("Keep me")
    await window.add("Delete me")
    await window.button("Delete Delete me").click()
    await window.shows("Keep me")
    await window.stored("Keep me")
    await window.button("Undo").click()
    await window.shows("Delete me", "Keep me")
    await window.stored("Delete me", "Keep me")


async def test_change_in_one_window_appears_in_the_other_without_its_asking_in_between(window: Window) -> None:
    other = await window.second()
    asked = len(other.sent("GET"))
    for title in "One", "Two":
        await window.add(title)
        await expect(other.box(title)).to_be_visible()
    await other.complete("One")
    await expect(window.box("One")).to_be_checked()
    await window.rename("Two", "Three")
    await other.shows("Three", "One")
    changes = 4
    assert len(other.sent("GET")) - asked <= 2 * changes  # a request for each event, and one after an own write
    await other.close()


async def test_list_that_has_not_changed_is_kept_when_the_stream_reconnects(window: Window) -> None:
    await window.add("Still here")
    await window.stored("Still here")
    await window.page.wait_for_timeout(500)
    async with window.page.expect_response(lambda answer: answer.url.endswith("/api/me/tasks")) as answer:
        await window.page.evaluate("dispatchEvent(new Event('online'))")
    assert (await answer.value).status == 304
    await window.shows("Still here")


async def test_what_is_written_offline_is_sent_in_order_when_back(window: Window) -> None:
    other = await window.second()
    await window.add("Before")
    await other.shows("Before")
    await window.page.context.set_offline(True)
    await window.says("Offline")
    await window.add("On a train")
    await window.rename("On a train", "In the mountains")
    await window.complete("In the mountains")
    await window.complete("Before")
    await window.says("Offline, 4 changes wait")
    await other.add("Meanwhile")
    await window.page.context.set_offline(False)
    await window.says("Live")
    await window.shows("In the mountains", "Meanwhile", "Before")
    await other.shows("In the mountains", "Meanwhile", "Before")
    tasks = await window.stored("In the mountains", "Meanwhile", "Before")
    assert [task["completed"] for task in tasks] == [True, False, True]
    await other.close()


async def test_stream_goes_on_when_the_token_expires_in_the_middle_and_nobody_signs_in_again(
    stack: Stack, browser: Browser
) -> None:
    window = await Window.fresh(stack, browser)
    await window.sign_up()
    now = int(time.time())
    await give_once(window, stack.token(window.user_id, now, now + 3))
    await window.open()
    other = await window.second()
    async with asyncio.timeout(15):
        while len(window.streams) < 2:
            await asyncio.sleep(0.05)
    await other.add("After it")
    await expect(window.box("After it")).to_be_visible()
    await other.close()
    await window.close()


async def test_token_that_is_refused_is_replaced_once_and_the_write_with_it_repeated(
    stack: Stack, browser: Browser
) -> None:
    window = await Window.fresh(stack, browser)
    await window.sign_up()
    now = int(time.time())
    await give_once(window, stack.token(window.user_id, now - 900, now - 60))
    await window.open()
    await window.add("Written")
    await window.stored("Written")
    assert sum(answer.url.endswith("/api/auth/token") for answer in window.answers) == 2  # for all calls
    assert any(answer.status == 401 for answer in window.answers)
    await window.close()


async def give_once(window: Window, token: str) -> None:
    async def give(route: Route) -> None:
        await route.fulfill(json={"token": token})

    await window.page.route("**/api/auth/token", give, times=1)


async def test_both_versions_are_shown_after_a_412_and_the_person_chooses(window: Window) -> None:
    other = await window.second()
    await window.add("First")
    await other.shows("First")
    for number, choice in enumerate(("Keep mine", "Keep the other")):
        title = ("First", "Mine 0")[number]
        mine, theirs = f"Mine {number}", f"Theirs {number}"
        await window.begin_editing(title, mine)
        await other.rename(title, theirs)
        await other.stored(theirs)
        await window.button("Save").click()
        dialog = window.page.get_by_role("dialog", name="Changed on another device")
        await expect(dialog.get_by_role("region", name="Yours")).to_contain_text(mine)
        await expect(dialog.get_by_role("region", name="The other device")).to_contain_text(theirs)
        await dialog.get_by_role("button", name=choice).click()
        await expect(dialog).to_have_count(0)
        kept = mine if choice == "Keep mine" else theirs
        await window.shows(kept)
        await other.shows(kept)
        await window.stored(kept)
    assert [answer.status for answer in window.answers if answer.request.method == "PATCH"] == [412, 200, 412]
    await other.close()


async def test_changes_of_different_fields_are_both_kept_without_a_question(window: Window) -> None:
    other = await window.second()
    await window.add("Call")
    await window.begin_editing("Call", "Call Grandma")
    await other.complete("Call")
    await expect(window.button("Done 1")).to_be_visible()
    await window.button("Save").click()
    await expect(other.box("Call Grandma")).to_be_checked()
    [task] = await window.stored("Call Grandma")
    assert task["completed"]
    assert 412 in [answer.status for answer in window.answers]
    await other.close()


async def test_task_that_another_device_has_deleted_can_be_brought_back(window: Window) -> None:
    other = await window.second()
    await window.add("Disputed")
    await other.shows("Disputed")
    await window.begin_editing("Disputed", "Renamed")
    await other.page.context.set_offline(True)
    await other.page.context.set_offline(False)
    await window.page.context.set_offline(True)
    await window.button("Save").click()
    await other.button("Delete Disputed").click()
    await other.stored()
    await window.page.context.set_offline(False)
    await expect(window.page.get_by_text("was deleted on another device")).to_be_visible()
    await window.shows()
    await window.button("Undo").click()
    await other.shows("Disputed")
    await other.close()


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
    await window.add("Only once")
    await window.stored("Only once")
    keys = {request.headers["idempotency-key"] for request in window.sent("POST")}
    async with window.page.expect_response(lambda answer: answer.request.method == "POST", timeout=15_000) as answer:
        pass
    assert (await answer.value).headers["idempotent-replayed"] == "true"
    assert len(keys) == 1
    assert attempts[1] - attempts[0] >= 2  # seconds, as the answer said
    await window.stored("Only once")
    await window.shows("Only once")


async def test_refused_write_is_taken_back_and_says_why(window: Window) -> None:
    await window.add("Fine")
    await window.stored("Fine")
    await window.page.evaluate("document.querySelector('[name=title]').removeAttribute('maxlength')")
    await window.page.get_by_label("New task").fill("x" * 201)
    await window.page.keyboard.press("Enter")
    await expect(window.page.get_by_text("was not created")).to_be_visible()
    await window.shows("Fine")

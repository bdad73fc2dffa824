"""The web app without a mouse, and by the rules of axe, light and dark."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.chromium import needs_chromium
from tests.web.stack import APP, RULES
from tests.web.window import Window

AXE = """() => axe.run().then(({ violations, passes }) => [
  violations.map(({ id, nodes }) => [id, nodes[0].html]), passes.length])"""
MOST_BYTES = 150_000


async def violations(page: Page) -> list[Any]:
    if not await page.evaluate("'axe' in window"):
        await page.add_script_tag(path=RULES / "node_modules" / "axe-core" / "axe.min.js")
    found, passed = await page.evaluate(AXE)
    assert passed > 0
    listed: list[Any] = found
    return listed


@needs_chromium
async def test_everything_can_be_done_with_the_keyboard(window: Window) -> None:
    keyboard, page = window.page.keyboard, window.page
    await expect(page.get_by_label("New task")).to_be_focused()
    for title in "Second", "First":
        await keyboard.type(title)
        await keyboard.press("Enter")
    await window.shows("First", "Second")
    await expect(page.get_by_label("New task")).to_be_focused()

    async def tab_to(name: str) -> None:
        for _ in range(20):
            await keyboard.press("Tab")
            if await page.evaluate("document.activeElement.getAttribute('aria-label')") == name:
                return
        raise AssertionError(name)

    await tab_to("Done: First")
    await keyboard.press("Space")
    await expect(window.box("First")).to_be_checked()
    outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    await keyboard.press("Tab")
    await keyboard.press("Enter")
    await expect(page.get_by_label("Title", exact=True)).to_be_focused()
    await keyboard.press("Escape")
    await expect(window.button("Edit First")).to_be_focused()
    await keyboard.press("Enter")
    await keyboard.press("Control+A")
    await keyboard.type("Renamed")
    await keyboard.press("Enter")
    await expect(window.button("Edit Renamed")).to_be_focused()
    await keyboard.press("Tab")
    await keyboard.press("Enter")
    await window.shows("Second")
    await expect(window.button("Undo")).to_be_focused()
    await keyboard.press("Enter")
    await window.shows("Renamed", "Second")


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_to_complain_about(window: Window, scheme: Any) -> None:
    page = window.page
    await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    other = await window.second()
    await page.get_by_label("Priority", exact=True).select_option("High")
    await page.get_by_label("Due", exact=True).fill("2020-01-02")
    await window.add("Overdue")
    await page.get_by_label("Due", exact=True).fill("2031-01-02")
    for title in "Later", "Gone", "Done":
        await window.add(title)
    await window.complete("Done")
    await window.box("Overdue").hover()
    await window.button("Delete Gone").click()
    await window.button("Edit Later").click()
    await other.shows("Done", "Later", "Overdue")
    assert await violations(page) == []
    await page.set_viewport_size({"width": 390, "height": 844})
    assert await violations(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth") == 390
    await other.rename("Later", "Theirs")
    await other.stored("Done", "Theirs", "Overdue")
    await page.get_by_label("Title", exact=True).fill("Mine")
    await window.button("Save").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    assert await violations(page) == []
    await page.get_by_role("button", name="Keep mine").click()
    await other.shows("Done", "Mine", "Overdue")
    await page.context.set_offline(True)
    await window.says("Offline")
    assert await violations(page) == []
    await page.context.set_offline(False)
    await window.button("Sign out").click()
    await window.button("I am new here").click()
    assert await violations(page) == []
    await other.close()


def test_picture_in_the_readme_is_small() -> None:
    assert 0 < (APP / "screenshot.png").stat().st_size <= MOST_BYTES

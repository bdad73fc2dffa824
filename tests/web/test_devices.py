"""Two devices of one person, in Chromium: each shows what the other one wrote, and no change is lost silently."""

from playwright.async_api import expect

from tests.chromium import needs_chromium
from tests.web.window import Window

pytestmark = needs_chromium


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


async def test_tab_that_nobody_sees_has_no_stream_and_catches_up_when_it_is_looked_at(window: Window) -> None:
    other = await window.second()
    look = "(away) => { Object.defineProperty(document, 'hidden', { value: away, configurable: true });"
    look += " document.dispatchEvent(new Event('visibilitychange')); }"
    await window.page.evaluate(look, arg=True)
    await window.says("Connecting…")
    await other.add("Meanwhile")
    await other.stored("Meanwhile")
    await window.shows()
    await window.page.evaluate(look, arg=False)
    await window.says("Live")
    await window.shows("Meanwhile")
    await other.close()


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
    await other.stored("Meanwhile", "Before")
    await window.page.context.set_offline(False)
    await window.says("Live")
    await window.shows("In the mountains", "Meanwhile", "Before")
    await other.shows("In the mountains", "Meanwhile", "Before")
    tasks = await window.stored("In the mountains", "Meanwhile", "Before")
    assert [task["completed"] for task in tasks] == [True, False, True]
    await other.close()


async def test_both_versions_are_shown_after_a_412_and_the_person_chooses(window: Window) -> None:
    other = await window.second()
    await window.add("First")
    await other.shows("First")
    for number, choice in enumerate(("Keep mine", "Keep theirs")):
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

"""The trash: what was deleted is listed there, latest first, until it is restored or removed for good."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from app.settings import Settings
from tests.conftest import client_of, random_user, running

TASKS = "/api/me/tasks"
TRASH = "/api/me/tasks?status=deleted"
AT_ONCE = 10

NextPage = Callable[[httpx.Response], str | None]


async def create(client: httpx.AsyncClient, title: str, **fields: object) -> dict[str, Any]:
    answer = await client.post(TASKS, json={"title": title, **fields})
    assert answer.status_code == 201
    task: dict[str, Any] = answer.json()
    return task


async def delete(client: httpx.AsyncClient, *tasks: dict[str, Any]) -> None:
    for task in tasks:
        assert (await client.delete(f"{TASKS}/{task['id']}")).status_code == 204


async def titles(client: httpx.AsyncClient, query: str = "status=deleted") -> list[str]:
    answer = await client.get(f"{TASKS}?{query}")
    assert answer.status_code == 200, answer.text
    return [task["title"] for task in answer.json()]


@pytest.fixture
async def three(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    """Of five tasks the first three, deleted in another order than they were created in."""
    tasks = [
        await create(client, "apple", priority="LOW", tags=["fruit"], due_date="2026-12-03"),
        await create(client, "banana", priority="HIGH", tags=["fruit", "ripe"], completed=True),
        await create(client, "carrot", due_date="2026-12-01"),
        await create(client, "date"),
        await create(client, "endive"),
    ]
    await delete(client, tasks[1], tasks[2], tasks[0])
    return tasks[:3]


async def row(connection: asyncpg.Connection, task_id: int) -> asyncpg.Record:
    return await connection.fetchrow(
        """SELECT tasks.*, users.revision AS of_user FROM tasks JOIN users ON users.id = user_id WHERE tasks.id = $1""",
        task_id,
    )


@pytest.mark.usefixtures("three")
async def test_the_latest_deletion_comes_first(client: httpx.AsyncClient) -> None:
    assert await titles(client) == ["apple", "carrot", "banana"]
    assert await titles(client, "status=deleted&order=asc") == ["banana", "carrot", "apple"]
    assert await titles(client, "") == ["endive", "date"]


async def test_a_deleted_task_is_told_as_it_was_and_when_it_was_deleted(
    client: httpx.AsyncClient, three: list[dict[str, Any]]
) -> None:
    for task in (await client.get(TRASH)).json():
        [before] = [one for one in three if one["id"] == task["id"]]
        deleted_at, revision = task.pop("deleted_at"), task["revision"]
        assert task == {**before, "updated_at": deleted_at, "revision": revision}
        assert revision > before["revision"]
        assert timedelta() <= datetime.now(UTC) - datetime.fromisoformat(deleted_at) < timedelta(minutes=5)


async def test_no_other_answer_says_when_a_task_was_deleted(
    client: httpx.AsyncClient, three: list[dict[str, Any]]
) -> None:
    for path in (TASKS, f"{TASKS}?status=all", f"{TASKS}?status=pending"):
        for task in (await client.get(path)).json():
            assert "deleted_at" not in task
    restored = await client.post(f"{TASKS}/{three[0]['id']}/restore")
    assert "deleted_at" not in restored.json()


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sort=created", ["carrot", "banana", "apple"]),
        ("sort=created&order=asc", ["apple", "banana", "carrot"]),
        ("sort=updated", ["apple", "carrot", "banana"]),
        ("sort=due_date", ["carrot", "apple", "banana"]),
        ("sort=priority", ["banana", "carrot", "apple"]),
        ("sort=title&order=desc", ["carrot", "banana", "apple"]),
        ("sort=deleted&order=asc", ["banana", "carrot", "apple"]),
        ("search=AN", ["banana"]),
        ("tag=fruit", ["apple", "banana"]),
        ("tags=ripe,other", ["banana"]),
        ("priority=high,low", ["apple", "banana"]),
        ("due_before=2026-12-02", ["carrot"]),
        ("limit=1&offset=1", ["carrot"]),
        ("limit=2&page=2", ["banana"]),
    ],
)
async def test_the_trash_has_the_filters_orders_and_pages_of_any_list(
    client: httpx.AsyncClient, query: str, expected: list[str]
) -> None:
    assert await titles(client, f"status=deleted&{query}") == expected


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("sort", ["deleted", "created", "updated", "due_date", "priority", "title"])
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_the_next_link_leads_through_the_trash(
    client: httpx.AsyncClient, next_page: NextPage, sort: str, order: str
) -> None:
    query = f"status=deleted&sort={sort}&order={order}"
    whole = await titles(client, query)
    assert len(whole) == 3
    paged, path = [], f"{TASKS}?{query}&limit=1"
    for _ in whole:
        page = await client.get(path)
        paged += [task["title"] for task in page.json()]
        path = next_page(page) or ""
    assert (paged, path) == (whole, "")


async def test_tasks_deleted_in_one_moment_are_all_on_a_page(
    client: httpx.AsyncClient, user_id: str, connection: asyncpg.Connection, next_page: NextPage
) -> None:
    tasks = [await create(client, str(number)) for number in range(5)]
    await delete(client, *tasks)
    await connection.execute("UPDATE tasks SET deleted_at = now() WHERE user_id = $1", user_id)
    seen, path = [], f"{TRASH}&limit=2"
    while path:
        page = await client.get(path)
        seen += [task["id"] for task in page.json()]
        path = next_page(page) or ""
    assert seen == [task["id"] for task in reversed(tasks)]


@pytest.mark.usefixtures("three")
async def test_a_cursor_of_the_trash_is_not_one_of_the_list(client: httpx.AsyncClient, next_page: NextPage) -> None:
    following = next_page(await client.get(f"{TRASH}&limit=1"))
    assert following is not None
    assert "status=deleted" in following
    refused = await client.get(following.replace("status=deleted&", ""))
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "cursor")


@pytest.mark.parametrize("query", ["sort=deleted", "sort=-deleted&status=all", "sort_by=deleted&status=pending"])
async def test_no_other_list_is_in_the_order_of_deletions(client: httpx.AsyncClient, query: str) -> None:
    refused = await client.get(f"{TASKS}?{query}")
    assert refused.status_code == 422
    assert refused.json()["detail"].startswith(("sort: Must not be deleted", "sort_by: Must not be deleted"))


async def test_the_trash_is_either_or(client: httpx.AsyncClient) -> None:
    refused = await client.get(f"{TRASH}&completed=true")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "completed")


async def test_the_trash_of_others_is_theirs(
    client: httpx.AsyncClient, other: httpx.AsyncClient, three: list[dict[str, Any]]
) -> None:
    assert (await other.get(TRASH)).json() == []
    for key in (three[0]["id"], three[0]["uid"]):
        refused = await other.post(f"{TASKS}/{key}/restore")
        assert (refused.status_code, refused.json()["code"]) == (404, "task_not_found")
    assert len(await titles(client)) == 3


async def test_the_trash_is_304_until_anything_changes(client: httpx.AsyncClient, three: list[dict[str, Any]]) -> None:
    tag = (await client.get(TRASH)).headers["ETag"]
    for _ in range(2):
        assert (await client.get(TRASH, headers={"If-None-Match": tag})).status_code == 304
    assert (await client.post(f"{TASKS}/{three[2]['id']}/restore")).status_code == 200
    changed = await client.get(TRASH, headers={"If-None-Match": tag})
    assert [task["title"] for task in changed.json()] == ["apple", "banana"]


async def test_the_trash_has_the_envelope_of_lists(settings: Settings) -> None:
    wrapped = replace(settings, list_envelope="tasks")
    async with running(wrapped) as app, client_of(app, wrapped, random_user()) as client:
        assert (await client.get(TRASH)).json() == {"tasks": []}
        await delete(client, await create(client, "x"))
        [task] = (await client.get(TRASH)).json()["tasks"]
        assert task["title"] == "x"


async def test_a_restored_task_is_as_it_was_with_a_new_revision(
    client: httpx.AsyncClient, three: list[dict[str, Any]]
) -> None:
    banana = three[1]
    before = (await client.get(TASKS)).headers["ETag"]
    restored = await client.post(f"{TASKS}/{banana['id']}/restore")
    task = restored.json()
    assert restored.status_code == 200
    assert restored.headers["ETag"] == f'"{task["revision"]}"'
    assert task == {**banana, "revision": task["revision"], "updated_at": task["updated_at"]}
    assert f'"{task["revision"]}"' > before
    assert task["updated_at"] > banana["updated_at"]
    assert (await client.get(f"{TASKS}/{banana['id']}")).json() == task
    listed = await client.get(TASKS, headers={"If-None-Match": before})
    assert [one["title"] for one in listed.json()] == ["endive", "date", "banana"]
    assert await titles(client) == ["apple", "carrot"]
    changed = await client.patch(f"{TASKS}/{banana['id']}", json={"title": "Banana"})
    assert changed.status_code == 200


async def test_restoring_what_is_there_answers_it_and_writes_nothing(
    client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    task = await create(client, "x")
    before = await row(connection, task["id"])
    for headers in ({}, {"If-Match": f'"{task["revision"]}"'}, {"If-Match": "*"}):
        again = await client.post(f"{TASKS}/{task['id']}/restore", headers=headers)
        assert (again.status_code, again.json()) == (200, task)
        assert again.headers["ETag"] == f'"{task["revision"]}"'
    assert await row(connection, task["id"]) == before


async def test_a_restore_can_be_repeated(client: httpx.AsyncClient, three: list[dict[str, Any]]) -> None:
    first, second = [await client.post(f"{TASKS}/{three[0]['id']}/restore") for _ in range(2)]
    assert first.json() == second.json()


async def test_a_task_is_restored_by_its_uid(
    client: httpx.AsyncClient, three: list[dict[str, Any]], connection: asyncpg.Connection
) -> None:
    await connection.execute("UPDATE tasks SET uid = 'apple-' || id WHERE id = $1", three[0]["id"])
    restored = await client.post(f"{TASKS}/apple-{three[0]['id']}/restore")
    assert (restored.status_code, restored.json()["id"]) == (200, three[0]["id"])


@pytest.mark.parametrize("key", ["999999999999", "0", "no-such-task", "x", "1_0"])
async def test_restoring_what_there_never_was_is_404(client: httpx.AsyncClient, key: str) -> None:
    missing = await client.post(f"{TASKS}/{key}/restore")
    assert (missing.status_code, missing.json()["code"]) == (404, "task_not_found")


@pytest.mark.parametrize("deleted", [True, False], ids=["deleted", "there"])
async def test_a_restore_with_another_revision_in_if_match_writes_nothing(
    client: httpx.AsyncClient, connection: asyncpg.Connection, deleted: bool
) -> None:
    task = await create(client, "x")
    stale = task["revision"] if deleted else task["revision"] - 1
    if deleted:
        await delete(client, task)
    before = await row(connection, task["id"])
    refused = await client.post(f"{TASKS}/{task['id']}/restore", headers={"If-Match": f'"{stale}"'})
    assert (refused.status_code, refused.json()["code"]) == (412, "stale_revision")
    assert await row(connection, task["id"]) == before
    current = f'"{before["revision"]}"'
    restored = await client.post(f"{TASKS}/{task['id']}/restore", headers={"If-Match": current})
    assert restored.status_code == 200


async def test_of_restores_at_once_all_answer_the_same_task(
    client: httpx.AsyncClient, three: list[dict[str, Any]]
) -> None:
    """They wait for each other at the user's row, and have seen a deleted task before that."""
    path = f"{TASKS}/{three[0]['id']}/restore"
    for _ in range(5):
        answers = await asyncio.gather(*(client.post(path) for _ in range(AT_ONCE)))
        assert {answer.status_code for answer in answers} == {200}
        [task] = {answer.text for answer in answers}
        assert (await client.get(f"{TASKS}/{three[0]['id']}")).text == task
        await delete(client, three[0])


async def test_a_restore_and_a_deletion_at_once_end_in_what_came_last(
    client: httpx.AsyncClient, three: list[dict[str, Any]]
) -> None:
    path = f"{TASKS}/{three[0]['id']}"
    for _ in range(20):
        restored, deleted, read = await asyncio.gather(
            client.post(f"{path}/restore"), client.delete(path), client.get(path)
        )
        assert restored.status_code == 200
        assert {deleted.status_code, read.status_code} <= {200, 204, 404}
        now = await client.get(path)
        if now.status_code == 200:
            assert now.json()["revision"] == restored.json()["revision"]
        await client.delete(path)


async def test_of_a_restore_that_waits_for_another_write_nothing_is_lost(
    client: httpx.AsyncClient, three: list[dict[str, Any]], user_id: str, connection: asyncpg.Connection
) -> None:
    """The other one restores and deletes again, so that the one that waits meets a later deletion than it has seen."""
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("UPDATE users SET revision = revision + 1 WHERE id = $1", user_id)
    waiting = asyncio.create_task(client.post(f"{TASKS}/{three[0]['id']}/restore"))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    revision = await connection.fetchval(
        """UPDATE tasks SET deleted_at = now(), title = 'later', revision = users.revision FROM users
           WHERE users.id = user_id AND tasks.id = $1 RETURNING tasks.revision""",
        three[0]["id"],
    )
    await transaction.commit()
    restored = (await waiting).json()
    assert (restored["title"], restored["revision"]) == ("later", revision + 1)

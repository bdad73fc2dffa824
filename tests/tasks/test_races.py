import asyncio
from itertools import pairwise
from typing import Any

import asyncpg
import httpx
import pytest

TASKS = "/api/me/tasks"
AT_ONCE = 15
ROUNDS = 8


async def new_task(client: httpx.AsyncClient) -> dict[str, Any]:
    task: dict[str, Any] = (await client.post(TASKS, json={"title": "contested"})).json()
    return task


async def test_of_concurrent_updates_from_one_revision_exactly_one_wins(client: httpx.AsyncClient) -> None:
    task = await new_task(client)
    url = f"{TASKS}/{task['id']}"
    for _ in range(ROUNDS):
        headers = {"If-Match": f'"{task["revision"]}"'}
        answers = await asyncio.gather(
            *(client.patch(url, json={"title": f"by {writer}"}, headers=headers) for writer in range(AT_ONCE))
        )
        winners = [answer for answer in answers if answer.status_code == 200]
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * (AT_ONCE - 1)
        task = (await client.get(url)).json()
        assert task == winners[0].json()


async def test_concurrent_toggles_all_count(client: httpx.AsyncClient) -> None:
    task = await new_task(client)
    url = f"{TASKS}/{task['id']}/complete"
    revisions = {task["revision"]}
    for _ in range(ROUNDS):
        answers = [answer.json() for answer in await asyncio.gather(*(client.patch(url) for _ in range(AT_ONCE)))]
        ordered = sorted(answers, key=lambda answer: answer["revision"])
        assert all(one["completed"] is not following["completed"] for one, following in pairwise(ordered))
        revisions |= {answer["revision"] for answer in answers}
    assert len(revisions) == 1 + ROUNDS * AT_ONCE
    assert (await client.get(f"{TASKS}/{task['id']}")).json()["completed"] is (ROUNDS * AT_ONCE % 2 == 1)


async def test_concurrent_updates_of_different_fields_are_all_kept(client: httpx.AsyncClient) -> None:
    task = await new_task(client)
    changes = [{"title": "t"}, {"description": "d"}, {"priority": "HIGH"}, {"tags": ["x"]}, {"due_date": "2026-12-01"}]
    await asyncio.gather(*(client.patch(f"{TASKS}/{task['id']}", json=change) for change in changes))
    stored = (await client.get(f"{TASKS}/{task['id']}")).json()
    assert (stored["title"], stored["description"], stored["priority"]) == ("t", "d", "HIGH")
    assert (stored["tags"], stored["due_date"]) == (["x"], "2026-12-01T00:00:00+00:00")


async def test_first_writes_at_once_make_one_user_and_distinct_revisions(
    client: httpx.AsyncClient, user_id: str, connection: asyncpg.Connection
) -> None:
    answers = await asyncio.gather(*(client.post(TASKS, json={"title": str(n)}) for n in range(AT_ONCE)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["revision"] for answer in answers}) == AT_ONCE
    assert len({answer.json()["id"] for answer in answers}) == AT_ONCE
    assert await connection.fetchval("SELECT count(*) FROM users WHERE id = $1", user_id) == 1


async def test_a_users_revisions_rise_in_the_order_of_commits(client: httpx.AsyncClient) -> None:
    """A reader that sees a revision sees everything up to it: no write with a lower one appears later."""
    task = await new_task(client)
    writing = True

    async def write() -> None:
        nonlocal writing
        for _ in range(4):
            await asyncio.gather(
                *(client.post(TASKS, json={"title": "x"}) for _ in range(5)),
                *(client.patch(f"{TASKS}/{task['id']}/complete") for _ in range(5)),
            )
        writing = False

    async def read() -> None:
        seen: dict[int, int] = {}
        highest = 0
        while writing:
            response = await client.get(TASKS)
            revision = int(response.headers["etag"].strip('W/"'))
            now = {entry["id"]: entry["revision"] for entry in response.json()}
            assert revision >= highest
            assert max(now.values()) <= revision
            fresh = {entry: value for entry, value in now.items() if seen.get(entry) != value}
            assert all(value > highest for value in fresh.values())
            seen, highest = now, revision

    await asyncio.gather(write(), read())


@pytest.mark.parametrize("rounds", [6])
async def test_deletes_at_once_succeed_once(client: httpx.AsyncClient, rounds: int) -> None:
    for _ in range(rounds):
        url = f"{TASKS}/{(await new_task(client))['id']}"
        statuses = [
            answer.status_code for answer in await asyncio.gather(*(client.delete(url) for _ in range(AT_ONCE)))
        ]
        assert sorted(statuses) == [204] + [404] * (AT_ONCE - 1)


async def test_erasure_among_writes_leaves_no_task_without_its_user(
    client: httpx.AsyncClient, user_id: str, connection: asyncpg.Connection
) -> None:
    for _ in range(ROUNDS):
        task = await new_task(client)
        answers = await asyncio.gather(
            *(client.post(TASKS, json={"title": "x"}) for _ in range(4)),
            client.delete("/api/me"),
            *(client.patch(f"{TASKS}/{task['id']}", json={"title": "y"}) for _ in range(4)),
        )
        assert {answer.status_code for answer in answers} <= {200, 201, 204, 404}
        orphans = await connection.fetchval(
            "SELECT count(*) FROM tasks LEFT JOIN users ON users.id = user_id WHERE user_id = $1 AND users.id IS NULL",
            user_id,
        )
        assert orphans == 0
        assert (await client.delete("/api/me")).status_code == 204
        assert await connection.fetchval("SELECT count(*) FROM tasks WHERE user_id = $1", user_id) == 0


async def test_a_write_that_waited_for_an_erasure_finds_no_task_and_makes_no_user(
    client: httpx.AsyncClient, user_id: str, connection: asyncpg.Connection
) -> None:
    task = await new_task(client)
    erasing = connection.transaction()
    await erasing.start()
    await connection.execute("DELETE FROM users WHERE id = $1", user_id)
    waiting = asyncio.create_task(client.patch(f"{TASKS}/{task['id']}", json={"title": "late"}))
    while not await blocked(connection):
        await asyncio.sleep(0.01)
    await connection.execute("DELETE FROM tasks WHERE user_id = $1", user_id)
    await erasing.commit()
    assert (await waiting).status_code == 404
    assert await connection.fetchval("SELECT count(*) FROM users WHERE id = $1", user_id) == 0


async def test_a_toggle_that_waited_for_another_write_works_on_what_that_wrote(
    client: httpx.AsyncClient, user_id: str, connection: asyncpg.Connection
) -> None:
    task = await new_task(client)
    other = connection.transaction()
    await other.start()
    await connection.execute("UPDATE users SET revision = revision + 1 WHERE id = $1", user_id)
    await connection.execute(
        "UPDATE tasks SET completed = true, title = 'other', revision = revision + 1 WHERE user_id = $1", user_id
    )
    waiting = asyncio.create_task(client.patch(f"{TASKS}/{task['id']}/complete"))
    stale = asyncio.create_task(
        client.patch(f"{TASKS}/{task['id']}/complete", headers={"If-Match": f'"{task["revision"]}"'})
    )
    while not await blocked(connection):
        await asyncio.sleep(0.01)
    await other.commit()
    toggled = (await waiting).json()
    assert (toggled["completed"], toggled["title"]) == (False, "other")
    assert (await stale).status_code == 412


async def blocked(connection: asyncpg.Connection) -> bool:
    query = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND $1 = ANY (pg_blocking_pids(pid)))"
    return bool(await connection.fetchval(query, connection.get_server_pid()))

import asyncio
from collections import Counter

import asyncpg
import httpx

from app.settings import Settings
from tests.conftest import client_of, running
from tests.tasks.batch.requests import TASKS, delete, patch, put, results, send, statuses

AT_ONCE = 10


async def test_first_batches_at_once_make_one_user_and_revisions_in_one_row(
    client: httpx.AsyncClient, connection: asyncpg.Connection, user_id: str
) -> None:
    answers = await asyncio.gather(
        *(send(client, *(put(f"batch-{n}-task-{m}") for m in range(3))) for n in range(AT_ONCE))
    )
    assert {answer.status_code for answer in answers} == {200}
    batches = [[result["task"]["revision"] for result in answer.json()["results"]] for answer in answers]
    assert all(batch == [*range(batch[0], batch[0] + 3)] for batch in batches)
    given = sorted(revision for batch in batches for revision in batch)
    assert given == [*range(given[0], given[0] + 3 * AT_ONCE)]
    row = await connection.fetchrow("SELECT revision, floor, tasks FROM users WHERE id = $1", user_id)
    assert (row["revision"], row["tasks"]) == (given[-1], 3 * AT_ONCE)
    assert row["floor"] < given[0]


async def test_of_batches_from_one_revision_exactly_one_wins_on_two_servers(
    client: httpx.AsyncClient, settings: Settings, user_id: str
) -> None:
    async with running(settings) as app, client_of(app, settings, user_id) as second:
        [made] = await results(client, put("contested-one"))
        for _ in range(5):
            base = made["task"]["revision"]
            answers = await asyncio.gather(
                *(
                    send((client, second)[n % 2], patch("contested-one", f"by {base} {n}", base=base))
                    for n in range(AT_ONCE)
                )
            )
            assert Counter(answer.status_code for answer in answers) == {200: 1, 409: AT_ONCE - 1}
            [winner] = [answer.json()["results"][0] for answer in answers if answer.status_code == 200]
            refused = [answer.json()["results"][0]["task"] for answer in answers if answer.status_code == 409]
            assert refused == [winner["task"]] * (AT_ONCE - 1)
            made = winner


async def test_batches_lose_nothing_beside_single_writes(client: httpx.AsyncClient) -> None:
    task = (await client.post(TASKS, json={"title": "x", "uid": "written-by-all"})).json()
    path = f"{TASKS}/{task['id']}"
    writes = [
        write
        for n in range(AT_ONCE)
        for write in (
            send(client, {"op": "patch", "id": task["id"], "data": {"tags": [str(n)]}}, put(f"beside-{n}", "by batch")),
            client.patch(path, json={"description": str(n)}),
            client.post(TASKS, json={"title": "by batch", "uid": f"beside-{n}"}),
            client.patch(f"{path}/complete"),
        )
    ]
    answers = await asyncio.gather(*writes)
    assert {answer.status_code for answer in answers} == {200, 201}
    listed = (await client.get(TASKS)).json()
    assert Counter(task["uid"] for task in listed) == dict.fromkeys(
        ["written-by-all", *(f"beside-{n}" for n in range(AT_ONCE))], 1
    )
    now = (await client.get(path)).json()
    assert now["completed"] is False  # flipped an even number of times: no batch has put an older state back
    assert now["description"] is not None
    assert len(now["tags"]) == 1
    assert len({task["revision"] for task in listed}) == len(listed)


async def test_batches_beside_erasures_leave_no_task_without_its_user(
    client: httpx.AsyncClient, connection: asyncpg.Connection, user_id: str
) -> None:
    for _ in range(5):
        answers = await asyncio.gather(
            send(client, put("before-or-after"), put("another-one-too")),
            client.delete("/api/me"),
            send(client, delete("before-or-after"), put("yet-another-one")),
        )
        assert [answer.status_code for answer in answers] == [200, 204, 200]
        row = await connection.fetchrow(
            """SELECT (SELECT count(*) FROM users WHERE id = $1) AS users,
                      (SELECT max(revision) FROM tasks WHERE user_id = $1) AS last,
                      (SELECT revision FROM users WHERE id = $1) AS revision""",
            user_id,
        )
        assert (row["users"] == 1) == (row["last"] is not None)
        assert row["last"] == row["revision"]


async def test_a_repeat_that_overtakes_its_first_try_is_no_second_write(client: httpx.AsyncClient) -> None:
    batch = [put("sent-too-often", "x"), put("sent-often-too", "y"), delete("sent-often-too")]
    answers = await asyncio.gather(*(send(client, *batch) for _ in range(AT_ONCE)))
    assert [statuses(answer) for answer in answers] == [["ok"] * 3] * AT_ONCE
    assert len({answer.text for answer in answers}) == 1

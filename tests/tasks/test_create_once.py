"""Creates with an Idempotency-Key, or a uid, which may be sent again."""

import asyncio
from typing import Any

import asyncpg
import httpx
import pytest

from tests.conftest import ORIGIN

TASKS = "/api/me/tasks"
KEY = "9b2e4c1a-5d07-4f7e-8a63-0c1d2e3f4a5b"
WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%tasks.create_once%'
"""
BODY = {"title": "Buy milk", "tags": ["home"]}


async def create(client: httpx.AsyncClient, key: str = KEY, body: Any = None) -> httpx.Response:
    return await client.post(TASKS, json=body or BODY, headers={"Idempotency-Key": key})


async def stored(connection: asyncpg.Connection, user_id: str) -> tuple[int, int]:
    """How many tasks the user has, deleted ones too, and the revision."""
    return (
        await connection.fetchval("SELECT count(*) FROM tasks WHERE user_id = $1", user_id),
        await connection.fetchval("SELECT revision FROM users WHERE id = $1", user_id),
    )


@pytest.mark.parametrize("repeated", [KEY, f'"{KEY}"'])
async def test_the_same_key_again_is_the_same_task_and_writes_nothing(
    client: httpx.AsyncClient, user_id: str, connection: asyncpg.Connection, repeated: str
) -> None:
    first = await create(client)
    assert (first.status_code, first.json()["uid"]) == (201, KEY)
    assert "idempotent-replayed" not in first.headers
    for _ in range(2):
        again = await create(client, repeated)
        assert again.status_code == 201
        assert again.headers["idempotent-replayed"] == "true"
        assert again.json() == first.json()
        assert (again.headers["etag"], again.headers["location"]) == (first.headers["etag"], first.headers["location"])
    assert await stored(connection, user_id) == (1, first.json()["revision"])


async def test_a_uid_in_the_body_is_the_same_as_a_key(client: httpx.AsyncClient) -> None:
    named = await client.post(TASKS, json={**BODY, "uid": KEY})
    assert named.json()["uid"] == KEY
    for again in (
        await client.post(TASKS, json={**BODY, "uid": KEY}),
        await create(client),
        await create(client, KEY, {**BODY, "uid": KEY}),
    ):
        assert again.json() == named.json()
        assert again.headers["idempotent-replayed"] == "true"


async def test_the_answer_is_the_task_as_it_is_now(client: httpx.AsyncClient) -> None:
    await create(client)
    changed = await client.patch(f"{TASKS}/{KEY}", json={"title": "Buy oat milk"})
    again = await create(client)
    assert (again.json(), again.headers["etag"]) == (changed.json(), changed.headers["etag"])


async def test_the_same_key_with_another_body_is_refused(
    client: httpx.AsyncClient, user_id: str, connection: asyncpg.Connection
) -> None:
    first = await create(client)
    refused = await create(client, KEY, {**BODY, "title": "Buy bread"})
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    assert await stored(connection, user_id) == (1, first.json()["revision"])
    assert (await create(client)).json() == first.json()


async def test_a_body_that_says_the_same_in_other_words_is_the_same_body(client: httpx.AsyncClient) -> None:
    await create(client)
    said = {"completed": False, "tags": "home", "title": " Buy milk ", "priority": "medium", "description": None}
    assert (await create(client, KEY, said)).headers["idempotent-replayed"] == "true"


async def test_a_task_that_was_deleted_since_is_gone_and_stays_so(
    client: httpx.AsyncClient, user_id: str, connection: asyncpg.Connection
) -> None:
    await create(client)
    await client.delete(f"{TASKS}/{KEY}")
    before = await stored(connection, user_id)
    gone = await create(client)
    assert (gone.status_code, gone.json()["code"]) == (410, "task_deleted")
    assert (await create(client, KEY, {"title": "y"})).json()["code"] == "idempotency_key_reused"
    assert await stored(connection, user_id) == before
    assert (await client.get(TASKS)).json() == []


async def test_a_task_that_was_not_created_with_this_key_is_not_taken_for_it(
    client: httpx.AsyncClient, user_id: str, connection: asyncpg.Connection
) -> None:
    """One that got its uid in another way has no fingerprint."""
    task = (await client.post(TASKS, json=BODY)).json()
    await connection.execute("UPDATE tasks SET uid = $3 WHERE user_id = $1 AND id = $2", user_id, task["id"], KEY)
    assert (await create(client)).json()["code"] == "idempotency_key_reused"


@pytest.mark.parametrize(
    "key", ["", '""', "short", "12345678", "filtered", "x" * 65, "with space", '"unbalanced', "ä" * 8]
)
async def test_what_is_no_key_is_400(client: httpx.AsyncClient, key: str) -> None:
    refused = await client.post(TASKS, json=BODY, headers=[(b"Idempotency-Key", key.encode())])
    assert (refused.status_code, refused.json()["code"]) == (400, "malformed_idempotency_key")
    assert (await client.get(TASKS)).json() == []


@pytest.mark.parametrize(
    "uid", ["", "short", "12345678", "filtered", "x" * 65, "with space", "a\x00bcdefgh", 12345678, []]
)
async def test_what_is_no_uid_is_a_wrong_field(client: httpx.AsyncClient, uid: Any) -> None:
    refused = await client.post(TASKS, json={"title": "", "uid": uid})
    assert refused.status_code == 422
    assert {error["field"] for error in refused.json()["errors"]} == {"title", "uid"}


async def test_key_and_uid_have_to_agree(client: httpx.AsyncClient) -> None:
    refused = await create(client, KEY, {**BODY, "uid": "another-name"})
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == ["uid"]
    assert (await client.get(TASKS)).json() == []


async def test_keys_of_one_user_never_meet_anothers(client: httpx.AsyncClient, other: httpx.AsyncClient) -> None:
    answers = [await create(client), await create(other), await create(other, KEY, BODY)]
    assert [answer.headers.get("idempotent-replayed") for answer in answers] == [None, None, "true"]
    assert answers[0].json()["user_id"] != answers[1].json()["user_id"]
    assert answers[1].json() == answers[2].json()
    assert (await create(other, KEY, {"title": "y"})).status_code == 422
    assert (await create(client)).json() == answers[0].json()


async def test_a_key_is_new_again_after_the_account_was_erased(client: httpx.AsyncClient) -> None:
    first = (await create(client)).json()
    await client.delete("/api/me")
    second = await create(client)
    assert "idempotent-replayed" not in second.headers
    assert second.json()["revision"] > first["revision"]


async def test_other_writes_do_not_look_at_the_key(client: httpx.AsyncClient) -> None:
    await create(client)
    headers = {"Idempotency-Key": "no key"}
    assert (await client.patch(f"{TASKS}/{KEY}", json={"title": "y"}, headers=headers)).status_code == 200


async def test_pages_of_other_origins_may_send_the_key_and_read_that_it_was_used(client: httpx.AsyncClient) -> None:
    origin = {"Origin": ORIGIN, "Idempotency-Key": KEY}
    for _ in range(2):
        answer = await client.post(TASKS, json=BODY, headers=origin)
    assert "Idempotent-Replayed" in answer.headers["access-control-expose-headers"]
    assert answer.headers["idempotent-replayed"] == "true"


async def test_duplicates_that_wait_for_each_other_make_one_task(
    client: httpx.AsyncClient, user_id: str, connection: asyncpg.Connection
) -> None:
    """None of them sees the first one: all wait at the user's row, which somebody else holds."""
    await client.post(TASKS, json={"title": "makes the user"})
    holding = connection.transaction()
    await holding.start()
    await connection.execute("UPDATE users SET revision = revision WHERE id = $1", user_id)
    waiting = [asyncio.create_task(create(client)) for _ in range(2)]
    waiting += [asyncio.create_task(create(client, KEY, {"title": "y"}))]
    while await connection.fetchval(WAITING) < 2:
        await asyncio.sleep(0.01)
        await connection.execute("SELECT pg_stat_clear_snapshot()")
    await holding.rollback()
    answers = await asyncio.gather(*waiting)
    assert sorted(answer.status_code for answer in answers) in ([201, 201, 422], [201, 422, 422])
    created = [answer for answer in answers if answer.status_code == 201]
    assert sum("idempotent-replayed" not in answer.headers for answer in created) == 1
    assert len((await client.get(TASKS)).json()) == 2

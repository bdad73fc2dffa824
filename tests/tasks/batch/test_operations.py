from typing import Any

import asyncpg
import httpx
import pytest

from tests.tasks.batch.requests import BATCH, TASKS, delete, patch, put, results, send, statuses

WHOLE = {
    "title": " Buy milk ",
    "description": "two",
    "priority": "high",
    "tags": ['a "quoted", {braced} one', "é"],
    "due_date": "2026-12-01",
    "completed": True,
}


async def revision(client: httpx.AsyncClient) -> int:
    found: int = (await client.get("/api/me")).json()["revision"]
    return found


async def test_results_come_in_order_each_with_its_task_and_a_revision_of_its_own(client: httpx.AsyncClient) -> None:
    old = (await client.post(TASKS, json={"title": "old"})).json()
    answer = await send(
        client,
        {"op": "put", "uid": "the-new-one", "data": WHOLE},
        {"op": "patch", "id": old["id"], "data": {"completed": True}},
        put("another-one"),
        delete("never-was-there"),
    )
    assert answer.status_code == 200
    assert statuses(answer) == ["ok"] * 4
    first, second, third, nothing = (result["task"] for result in answer.json()["results"])
    assert nothing is None
    assert [task["revision"] for task in (first, second, third)] == [old["revision"] + n for n in (1, 2, 3)]
    assert answer.json()["revision"] == third["revision"] == await revision(client)
    single = (await client.post(TASKS, json=WHOLE)).json()
    own = {"id", "uid", "created_at", "updated_at", "revision", "deleted_at"}
    assert {**first, "deleted_at": None}.keys() == {*single, "deleted_at"}
    assert {name: value for name, value in first.items() if name not in own} == {
        name: value for name, value in single.items() if name not in own
    }
    for task in (first, second, third):
        assert task.pop("deleted_at") is None
        assert (await client.get(f"{TASKS}/{task['uid']}")).json() == task


async def test_a_put_replaces_every_field_and_keeps_id_and_creation(client: httpx.AsyncClient) -> None:
    [made] = await results(client, {"op": "put", "uid": "replaced-one", "data": WHOLE})
    [put_again] = await results(client, put("replaced-one", "only this"))
    before, after = made["task"], put_again["task"]
    assert (after["id"], after["created_at"]) == (before["id"], before["created_at"])
    assert (after["title"], after["description"], after["priority"]) == ("only this", None, "MEDIUM")
    assert (after["tags"], after["due_date"], after["completed"]) == ([], None, False)
    assert after["updated_at"] > before["updated_at"]


async def test_a_task_without_a_uid_is_called_by_its_id_as_number_or_text(client: httpx.AsyncClient) -> None:
    task = (await client.post(TASKS, json={"title": "x", "description": "kept"})).json()
    [by_uid, by_id] = await results(
        client, patch(task["uid"], "a"), {"op": "put", "id": task["id"], "data": {"title": "b"}}
    )
    assert by_uid["task"] == by_id["task"]
    assert (by_id["task"]["title"], by_id["task"]["description"]) == ("b", None)
    answer = await send(client, {"op": "put", "id": 2**62, "data": {"title": "x"}}, put(str(2**62)), put("9" * 30))
    assert (answer.status_code, statuses(answer)) == (409, ["missing", "missing", "invalid"])


@pytest.mark.parametrize("number", [0, -1, 2**63, 10**19])
async def test_an_id_that_no_task_can_have_is_missing(client: httpx.AsyncClient, number: int) -> None:
    answer = await send(client, {"op": "patch", "id": number, "data": {}}, {"op": "delete", "id": number}, atomic=False)
    assert statuses(answer) == ["missing", "ok"]


async def test_a_put_brings_a_deleted_task_back(client: httpx.AsyncClient, connection: asyncpg.Connection) -> None:
    [made] = await results(client, put("deleted-once"))
    [gone] = await results(client, delete("deleted-once"))
    assert gone["task"]["deleted_at"] is not None
    assert (await client.get(f"{TASKS}/deleted-once")).status_code == 404
    answer = await send(client, patch("deleted-once"), atomic=False)
    assert statuses(answer) == ["missing"]
    assert answer.json()["results"][0]["task"] == gone["task"]
    [back] = await results(client, put("deleted-once"))
    assert back["task"]["deleted_at"] is None
    assert back["task"]["id"] == made["task"]["id"]
    assert (await client.get(f"{TASKS}/deleted-once")).status_code == 200
    [by_id] = await results(client, {"op": "delete", "id": made["task"]["id"]})
    [again] = await results(client, {"op": "put", "id": made["task"]["id"], "data": {"title": "x"}})
    assert (by_id["task"]["deleted_at"] is None, again["task"]["deleted_at"]) == (False, None)
    assert await connection.fetchval("SELECT count(*) FROM tasks WHERE uid = 'deleted-once'") == 1


async def test_base_refuses_what_has_changed_since_and_says_how_it_is_now(client: httpx.AsyncClient) -> None:
    [made] = await results(client, put("guarded-one"))
    base = made["task"]["revision"]
    [changed] = await results(client, patch("guarded-one", "b", base=base))
    for operation in (
        patch("guarded-one", "c", base=base),
        put("guarded-one", "c", base=base),
        delete("guarded-one", base=base),
    ):
        answer = await send(client, operation)
        assert (answer.status_code, answer.json()["code"]) == (409, "batch_conflict")
        assert answer.json()["results"] == [{"status": "conflict", "task": changed["task"], "errors": []}]
        assert answer.json()["revision"] == changed["task"]["revision"] == await revision(client)
    assert statuses(await send(client, patch("guarded-one", "c", base=changed["task"]["revision"]))) == ["ok"]


async def test_one_refusal_keeps_an_atomic_batch_from_writing_anything(client: httpx.AsyncClient) -> None:
    [made] = await results(client, put("stays-the-same"))
    before = await revision(client)
    operations = [patch("stays-the-same"), put("never-created"), patch("nothing-here"), put("broken-title", " ")]
    refused = await send(client, *operations)
    assert (refused.status_code, refused.headers["content-type"]) == (409, "application/problem+json")
    assert statuses(refused) == ["ok", "ok", "missing", "invalid"]
    assert [result["task"] for result in refused.json()["results"]] == [made["task"], None, None, None]
    assert await revision(client) == before
    done = await send(client, *operations, atomic=False)
    assert statuses(done) == ["ok", "ok", "missing", "invalid"]
    assert done.json()["revision"] == before + 2 == await revision(client)
    assert {task["title"] for task in (await client.get(TASKS)).json()} == {"x", "y"}


async def test_rules_are_those_of_single_requests(client: httpx.AsyncClient) -> None:
    for op, method, broken in (
        ("put", "POST", {"priority": "urgent", "tags": [""], "due_date": "soon", "completed": "yes"}),
        ("put", "POST", {"title": 7}),
        ("put", "POST", {"title": "\0", "description": "x" * 1001}),
        ("patch", "PATCH", {"title": None, "due_date": "1066-10-14"}),
        ("patch", "PATCH", {"title": "", "completed": None}),
    ):
        [made] = await results(client, put("by-the-rules"))
        path = TASKS if method == "POST" else f"{TASKS}/{made['task']['id']}"
        expected = (await client.request(method, path, json=broken)).json()["errors"]
        answer = await send(client, {"op": op, "uid": "by-the-rules", "data": broken})
        assert answer.json()["results"] == [{"status": "invalid", "task": made["task"], "errors": expected}]
    missing: list[dict[str, Any]] = [{}, {"data": None}, {"data": []}, {"data": "x"}]
    for nothing in missing:
        answer = await send(client, {"op": "put", "uid": "by-the-rules", **nothing})
        assert [error["field"] for error in answer.json()["results"][0]["errors"]] == ["data"]
    for uid in ("short", "with space", "batch", "changes", "x" * 65, "\0" * 9):
        answer = await send(client, put(uid))
        assert [error["field"] for error in answer.json()["results"][0]["errors"]] == ["uid"]


async def test_other_members_of_data_do_not_count(client: httpx.AsyncClient) -> None:
    data: dict[str, Any] = {"title": "x", "uid": "no", "id": "none", "revision": None, "deleted_at": 1, "more": {}}
    [result] = await results(client, {"op": "put", "uid": "with-more-data", "data": data, "more": 1})
    assert (result["status"], result["task"]["uid"]) == ("ok", "with-more-data")


async def test_several_operations_on_one_task_are_one_write(client: httpx.AsyncClient) -> None:
    [made] = await results(client, put("written-once", description="x"))
    answer = await send(
        client, patch("written-once", "a"), {"op": "patch", "id": made["task"]["id"], "data": {"tags": ["t"]}}
    )
    first, second = answer.json()["results"]
    assert first == second
    assert (first["task"]["title"], first["task"]["tags"]) == ("a", ["t"])
    assert answer.json()["revision"] == first["task"]["revision"] == made["task"]["revision"] + 1
    [_, gone] = await results(client, put("gone-at-once"), delete("gone-at-once"))
    assert gone["task"]["deleted_at"] is not None
    assert [task["uid"] for task in (await client.get(TASKS)).json()] == ["written-once"]


async def test_a_batch_that_comes_again_answers_the_same_and_writes_nothing(
    client: httpx.AsyncClient, connection: asyncpg.Connection, user_id: str
) -> None:
    [made] = await results(client, put("edited-offline"))
    base = made["task"]["revision"]
    batch: list[Any] = [
        patch("edited-offline", "b", base=base),
        put("created-offline", "c", base=base),
        put("deleted-offline", "d"),
        patch("deleted-offline", "e", base=base),
        delete("deleted-offline", base=base),
    ]
    first = await send(client, *batch)
    row = "SELECT xmin, revision FROM users WHERE id = $1"
    written = await connection.fetchrow(row, user_id)
    again = await send(client, *batch)
    assert first.status_code == again.status_code == 200
    assert again.json() == first.json()
    assert await connection.fetchrow(row, user_id) == written


async def test_a_put_counts_as_the_create_that_it_is(client: httpx.AsyncClient) -> None:
    [made] = await results(client, {"op": "put", "uid": "created-by-put", "data": {**WHOLE, "completed": False}})
    replayed = await client.post(TASKS, json={**WHOLE, "completed": False, "uid": "created-by-put"})
    assert (replayed.status_code, replayed.headers["idempotent-replayed"]) == (201, "true")
    assert replayed.json()["id"] == made["task"]["id"]
    other = await client.post(TASKS, json={"title": "other", "uid": "created-by-put"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_no_operations_are_fine_and_make_no_user(client: httpx.AsyncClient) -> None:
    assert (await send(client)).json() == {"revision": 0, "results": []}
    assert statuses(await send(client, patch("never-existed"))) == ["missing"]
    assert statuses(await send(client, delete("never-existed"))) == ["ok"]
    profile = (await client.get("/api/me")).json()
    assert (profile["revision"], profile["first_seen_at"]) == (0, None)


async def test_what_was_written_is_told_as_a_change(client: httpx.AsyncClient) -> None:
    [one, two, gone] = await results(client, put("told-first"), put("told-second"), put("told-third"))
    since = one["task"]["revision"] - 1
    [gone] = await results(client, delete("told-second"))
    told = (await client.get(f"{TASKS}/changes", params={"since": since})).json()
    assert [task["uid"] for task in told["changes"]] == ["told-first", "told-third", "told-second"]
    assert told["changes"][-1] == gone["task"]
    assert told["changes"][0] == one["task"]
    del two


@pytest.mark.parametrize("path", ["/api/tasks/batch", "/api/v1/me/tasks/batch/", "/api/v1/tasks/batch"])
async def test_other_addresses_of_batches_are_served(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.post(path, json={"operations": []})).status_code == 200


async def test_if_match_means_nothing_to_a_batch(client: httpx.AsyncClient) -> None:
    answer = await client.post(BATCH, json={"operations": [put("whatever-tag")]}, headers={"If-Match": '"1"'})
    assert answer.status_code == 200
    assert "etag" not in answer.headers


async def test_names_of_one_user_never_meet_anothers(client: httpx.AsyncClient, other: httpx.AsyncClient) -> None:
    [mine] = await results(client, put("same-name-twice", "mine"))
    [theirs] = await results(other, put("same-name-twice", "theirs"))
    assert mine["task"]["id"] != theirs["task"]["id"]
    answer = await send(other, {"op": "patch", "id": mine["task"]["id"], "data": {"title": "stolen"}}, atomic=False)
    assert answer.json()["results"] == [{"status": "missing", "task": None, "errors": []}]
    assert (await send(other, {"op": "delete", "id": mine["task"]["id"]})).json()["results"][0]["task"] is None
    assert (await client.get(f"{TASKS}/same-name-twice")).json()["title"] == "mine"

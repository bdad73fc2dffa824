"""Each result has the task that its own operation names, as the database has it afterwards, or none."""

from typing import Any, Final

import asyncpg
import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tasks.batch.requests import TASKS, patch, results, send

UNKNOWN: Final = 2**62
NAMED: Final = st.sampled_from(["named-one", "named-two"]).map(lambda uid: {"uid": uid})
UNNAMED: Final = st.sampled_from([0, 1, UNKNOWN]).flatmap(
    lambda which: st.sampled_from([{"id": which}, {"uid": which}])
)
"""By the place of a task that was created without a name, which has no id before it is there."""

OPERATION: Final = st.builds(
    lambda op, name, title: {"op": op, **name, "data": {"title": title}},
    st.sampled_from(["put", "patch", "delete"]),
    NAMED | UNNAMED,
    st.sampled_from("ab"),
)
STORED: Final = "SELECT id, uid, title, revision, deleted_at FROM tasks WHERE user_id = $1 ORDER BY id"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(OPERATION, max_size=6), atomic=st.booleans())
async def test_the_task_of_each_result_is_that_of_its_operation(
    client: httpx.AsyncClient, user_id: str, connection: asyncpg.Connection, drawn: list[Any], atomic: bool
) -> None:
    for _ in range(2 - len(await unnamed(connection, user_id))):
        await client.post(TASKS, json={"title": "a"})
    ids = [*await unnamed(connection, user_id)]
    operations = [with_id(operation, ids) for operation in drawn]
    answer = await send(client, *operations, atomic=atomic)
    refused = atomic and any(result["status"] == "missing" for result in answer.json()["results"])
    assert answer.status_code == (409 if refused else 200)
    stored: dict[Any, Any] = {}
    for row in await connection.fetch(STORED, user_id):
        task = (row["id"], row["title"], row["revision"], row["deleted_at"] is not None)
        stored |= {name: task for name in (row["id"], str(row["id"]), row["uid"]) if name is not None}
    told = [
        task and (task["id"], task["title"], task["revision"], task["deleted_at"] is not None)
        for task in (result["task"] for result in answer.json()["results"])
    ]
    assert told == [stored.get(operation.get("id", operation.get("uid"))) for operation in operations]
    again = await send(client, *operations, atomic=atomic)
    assert again.json()["revision"] == answer.json()["revision"]
    assert [result["task"] for result in again.json()["results"]] == [
        result["task"] for result in answer.json()["results"]
    ]


async def unnamed(connection: asyncpg.Connection, user_id: str) -> list[int]:
    return [row["id"] for row in await connection.fetch(STORED, user_id) if row["uid"] is None]


def with_id(operation: dict[str, Any], ids: list[int]) -> dict[str, Any]:
    which = operation.get("id", operation.get("uid"))
    if not isinstance(which, int):
        return operation
    number = ids[which] if which < len(ids) else which
    return {**operation, **({"id": number} if "id" in operation else {"uid": str(number)})}


async def test_what_is_missing_has_no_task_beside_one_that_was_created_without_a_name(
    client: httpx.AsyncClient,
) -> None:
    task = (await client.post(TASKS, json={"title": "x"})).json()
    missing = {"op": "patch", "id": UNKNOWN, "data": {"title": "y"}}
    [there, nowhere] = await results(client, patch(task["uid"]), missing, atomic=False)
    assert there["task"]["id"] == task["id"]
    assert nowhere == {"status": "missing", "task": None, "errors": []}

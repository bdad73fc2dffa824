from typing import Any

import httpx
import pytest

TASKS = "/api/me/tasks"
FULL = {
    "title": "Original",
    "description": "text",
    "priority": "LOW",
    "tags": ["a"],
    "due_date": "2026-12-01T10:00:00Z",
    "completed": True,
}
VOLATILE = {"updated_at", "revision"}


@pytest.fixture
async def task(client: httpx.AsyncClient) -> dict[str, Any]:
    task: dict[str, Any] = (await client.post(TASKS, json=FULL)).json()
    return task


def stable(task: dict[str, Any], *changed: str) -> dict[str, Any]:
    return {key: value for key, value in task.items() if key not in VOLATILE | set(changed)}


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize(
    ("field", "given", "stored"),
    [
        ("title", " New ", "New"),
        ("description", None, None),
        ("description", "", ""),
        ("priority", "high", "HIGH"),
        ("priority", None, "MEDIUM"),
        ("tags", None, []),
        ("tags", "x,y", ["x", "y"]),
        ("due_date", None, None),
        ("due_date", "2027-01-01", "2027-01-01T00:00:00+00:00"),
        ("completed", False, False),
    ],
)
async def test_both_change_only_what_is_given(
    client: httpx.AsyncClient, task: dict[str, Any], method: str, field: str, given: Any, stored: Any
) -> None:
    response = await client.request(method, f"{TASKS}/{task['id']}", json={field: given})
    changed = response.json()
    assert response.status_code == 200
    assert changed[field] == stored
    assert stable(changed, field) == stable(task, field)
    assert changed["revision"] == task["revision"] + 1
    assert changed["updated_at"] > task["updated_at"]
    assert response.headers["etag"] == f'"{changed["revision"]}"'
    assert (await client.get(f"{TASKS}/{task['id']}")).json() == changed


@pytest.mark.parametrize("body", [{}, {"nonsense": 1, "id": 7, "user_id": "x"}])
async def test_nothing_known_in_the_body_changes_nothing(
    client: httpx.AsyncClient, task: dict[str, Any], body: dict[str, Any]
) -> None:
    response = await client.patch(f"{TASKS}/{task['id']}", json=body)
    assert response.json() == task
    stale = await client.patch(f"{TASKS}/{task['id']}", json=body, headers={"If-Match": '"1"'})
    assert stale.status_code == 412


@pytest.mark.parametrize("field_value", [("title", " "), ("title", None), ("completed", None), ("due_date", "x")])
async def test_a_broken_rule_changes_nothing(
    client: httpx.AsyncClient, task: dict[str, Any], field_value: tuple[str, Any]
) -> None:
    field, value = field_value
    response = await client.patch(f"{TASKS}/{task['id']}", json={"description": "changed", field: value})
    assert response.status_code == 422
    assert (await client.get(f"{TASKS}/{task['id']}")).json() == task


REQUESTS = [
    ("PATCH", "", {"title": "x"}),
    ("PUT", "", {"title": "x"}),
    ("PATCH", "/complete", {}),
    ("DELETE", "", None),
]


@pytest.mark.parametrize(("method", "suffix", "body"), REQUESTS)
async def test_a_stale_if_match_changes_nothing(
    client: httpx.AsyncClient, task: dict[str, Any], method: str, suffix: str, body: Any
) -> None:
    listed = (await client.get(TASKS)).headers["etag"]
    url = f"{TASKS}/{task['id']}{suffix}"
    for tag in ('"1"', f'W/"{task["revision"]}"', "nonsense", '"99999999999999999999"', '""'):
        response = await client.request(method, url, json=body, headers={"If-Match": tag})
        assert response.status_code == 412
        assert response.json()["code"] == "stale_revision"
    assert (await client.get(f"{TASKS}/{task['id']}")).json() == task
    assert (await client.get(TASKS)).headers["etag"] == listed


@pytest.mark.parametrize(("method", "suffix", "body"), REQUESTS)
@pytest.mark.parametrize("tag", ['"{}"', '"5", "{}"', "*"])
async def test_a_current_if_match_lets_the_write_through(
    client: httpx.AsyncClient, task: dict[str, Any], method: str, suffix: str, body: Any, tag: str
) -> None:
    headers = {"If-Match": tag.format(task["revision"])}
    response = await client.request(method, f"{TASKS}/{task['id']}{suffix}", json=body, headers=headers)
    assert response.status_code in {200, 204}


@pytest.mark.parametrize(("method", "suffix", "body"), REQUESTS)
@pytest.mark.parametrize("headers", [{}, {"If-Match": '"1"'}])
async def test_writing_a_task_that_is_not_there_is_404_and_no_write(
    client: httpx.AsyncClient, task: dict[str, Any], method: str, suffix: str, body: Any, headers: dict[str, str]
) -> None:
    before = (await client.get(TASKS)).headers["etag"]
    response = await client.request(method, f"{TASKS}/{task['id'] + 10**9}{suffix}", json=body, headers=headers)
    assert response.status_code == 404
    assert response.json()["detail"] == "Task not found"
    assert (await client.get(TASKS)).headers["etag"] == before


async def test_complete_flips_without_a_body_and_sets_with_one(client: httpx.AsyncClient, task: dict[str, Any]) -> None:
    url = f"{TASKS}/{task['id']}/complete"
    assert (await client.patch(url)).json()["completed"] is False
    assert (await client.patch(url, json={})).json()["completed"] is True
    assert (await client.patch(url, headers={"Content-Type": "application/json"})).json()["completed"] is False
    for state in (True, True, False, False):
        assert (await client.patch(url, json={"completed": state})).json()["completed"] is state
    assert stable((await client.patch(url, json={"completed": True})).json()) == stable(task)


@pytest.mark.parametrize("body", [{"completed": None}, {"completed": "true"}, {"completed": 1}, [], None])
async def test_complete_refuses_what_is_not_a_boolean(
    client: httpx.AsyncClient, task: dict[str, Any], body: Any
) -> None:
    response = await client.request(
        "PATCH",
        f"{TASKS}/{task['id']}/complete",
        content=httpx.Request("POST", "http://x", json=body).content or b"null",
        headers={"Content-Type": "application/json"},
    )
    assert response.status_code == 422
    assert (await client.get(f"{TASKS}/{task['id']}")).json() == task


async def test_a_deleted_task_is_gone_from_every_route_and_stays_as_a_tombstone(
    client: httpx.AsyncClient, task: dict[str, Any], connection: Any
) -> None:
    url = f"{TASKS}/{task['id']}"
    deleted = await client.delete(url)
    assert (deleted.status_code, deleted.content) == (204, b"")
    for method, suffix in (("GET", ""), ("PATCH", ""), ("PUT", ""), ("PATCH", "/complete"), ("DELETE", "")):
        assert (await client.request(method, url + suffix, json={"title": "x"})).status_code == 404
    assert (await client.get(TASKS)).json() == []
    row = await connection.fetchrow("SELECT deleted_at, revision FROM tasks WHERE id = $1", task["id"])
    assert row["deleted_at"] is not None
    assert row["revision"] == task["revision"] + 1


@pytest.mark.parametrize(
    "text",
    ["0", "-1", "+1", "01", "1_0", " 1", "1 ", "1.0", "1e1", "abc", "\u0661", "9223372036854775808", "9" * 400, "%00"],
)
@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
async def test_an_id_that_cannot_be_one_is_404_before_the_body_is_read(
    client: httpx.AsyncClient, text: str, method: str
) -> None:
    response = await client.request(method, f"{TASKS}/{text}", content=b"not json")
    assert response.status_code == 404
    assert response.json()["code"] == "task_not_found"


async def test_the_largest_id_is_looked_up(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{TASKS}/9223372036854775807")).json()["code"] == "task_not_found"

from typing import Any

import httpx
import pytest

from app.tasks.schemas import TaskCreate

TASKS = "/api/me/tasks"


async def test_a_title_is_enough_and_the_rest_has_defaults(client: httpx.AsyncClient, user_id: str) -> None:
    response = await client.post(TASKS, json={"title": "Buy milk"})
    task = response.json()
    assert response.status_code == 201
    assert {key: task[key] for key in ("user_id", "title", "description", "priority", "tags", "due_date")} == {
        "user_id": user_id,
        "title": "Buy milk",
        "description": None,
        "priority": "MEDIUM",
        "tags": [],
        "due_date": None,
    }
    assert task["completed"] is False
    assert task["created_at"] == task["updated_at"]
    assert response.headers["etag"] == f'"{task["revision"]}"'


async def test_location_names_the_task_under_the_path_that_was_used(client: httpx.AsyncClient, user_id: str) -> None:
    response = await client.post(f"/api/{user_id}/tasks/", json={"title": "x"})
    assert response.headers["location"] == f"/api/{user_id}/tasks/{response.json()['id']}"
    assert (await client.get(response.headers["location"])).json() == response.json()


async def test_every_field_given_is_stored(client: httpx.AsyncClient) -> None:
    body = {
        "title": "  Trimmed  ",
        "description": " kept as it is ",
        "priority": "hIgH",
        "tags": ["home", "a,b"],
        "due_date": "2026-12-01T12:00:00.123456+02:00",
        "completed": True,
    }
    task = (await client.post(TASKS, json=body)).json()
    assert task["title"] == "Trimmed"
    assert task["description"] == " kept as it is "
    assert task["priority"] == "HIGH"
    assert task["tags"] == ["home", "a,b"]
    assert task["due_date"] == "2026-12-01T10:00:00.123456+00:00"
    assert task["completed"] is True


async def test_unknown_fields_are_ignored_and_never_assigned(client: httpx.AsyncClient, user_id: str) -> None:
    body = {"title": "x", "id": 5, "user_id": "somebody", "revision": 1, "created_at": "1999-01-01", "nonsense": "\x00"}
    task = (await client.post(TASKS, json=body)).json()
    assert task["user_id"] == user_id
    assert task["revision"] > 1
    assert not task["created_at"].startswith("1999")


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (["a", "b"], ["a", "b"]),
        ('["a", "b"]', ["a", "b"]),
        ("a, b ,,c", ["a", "b", "c"]),
        ("", []),
        (None, []),
        ([], []),
        ("[]", []),
        (["x" * 50] * 20, ["x" * 50] * 20),
    ],
)
async def test_tags_come_in_three_forms_and_leave_as_an_array(
    client: httpx.AsyncClient, given: Any, stored: Any
) -> None:
    assert (await client.post(TASKS, json={"title": "x", "tags": given})).json()["tags"] == stored


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("2026-12-01", "2026-12-01T00:00:00+00:00"),
        ("2026-12-01T10:00:00", "2026-12-01T10:00:00+00:00"),
        ("2026-12-01T10:00", "2026-12-01T10:00:00+00:00"),
        ("2026-12-01 10:00", "2026-12-01T10:00:00+00:00"),
        ("2026-12-01T10:00+02:00", "2026-12-01T08:00:00+00:00"),
        ("2026-12-01T10", None),
        ("2026-12-01T10:00:00Z", "2026-12-01T10:00:00+00:00"),
        ("2026-12-01T10:00:00-05:00", "2026-12-01T15:00:00+00:00"),
        ("1900-01-01", "1900-01-01T00:00:00+00:00"),
        ("2999-12-31T23:59:59.999999Z", "2999-12-31T23:59:59.999999+00:00"),
        (None, None),
    ],
)
async def test_due_dates_are_written_in_utc(client: httpx.AsyncClient, given: Any, stored: Any) -> None:
    response = await client.post(TASKS, json={"title": "x", "due_date": given})
    assert response.status_code == (201 if stored or given is None else 422)
    assert response.json().get("due_date") == stored


REFUSED = [
    ("title", ""),
    ("title", "   \n\t "),
    ("title", "x" * 201),
    ("title", None),
    ("title", 5),
    ("title", ["x"]),
    ("title", "a\x00b"),
    ("description", "x" * 1001),
    ("description", "\x00"),
    ("description", {}),
    ("priority", "URGENT"),
    ("priority", ""),
    ("priority", 1),
    ("tags", ["x"] * 21),
    ("tags", ["x" * 51]),
    ("tags", [""]),
    ("tags", [1]),
    ("tags", "[1]"),
    ("tags", "[" * 5000),
    ("tags", '["a\\u0000"]'),
    ("tags", {"a": 1}),
    ("due_date", ""),
    ("due_date", "tomorrow"),
    ("due_date", "2026-02-30"),
    ("due_date", "1e9"),
    ("due_date", 1764583200),
    ("due_date", "1899-12-31T23:59:59Z"),
    ("due_date", "3000-01-01"),
    ("due_date", "0001-01-01T00:00:00+14:00"),
    ("due_date", "9999-12-31T23:59:59-14:00"),
    ("completed", "true"),
    ("completed", 1),
    ("completed", None),
]


@pytest.mark.parametrize(("field", "value"), REFUSED)
async def test_a_value_that_breaks_a_rule_is_422_and_names_its_field(
    client: httpx.AsyncClient, field: str, value: Any
) -> None:
    response = await client.post(TASKS, json={"title": "x", field: value})
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]
    assert (await client.get(TASKS)).json() == []


async def test_all_broken_rules_are_named_at_once(client: httpx.AsyncClient) -> None:
    response = await client.post(TASKS, json={"description": 5, "priority": "?", "tags": [""], "completed": "no"})
    problem = response.json()
    assert {error["field"] for error in problem["errors"]} == {"title", "description", "priority", "tags", "completed"}
    assert problem["code"] == "validation_failed"
    assert isinstance(problem["detail"], str)
    assert problem["detail"] == problem["message"]


async def test_the_last_of_duplicate_members_counts(client: httpx.AsyncClient) -> None:
    response = await client.post(
        TASKS, content=b'{"title": "a", "title": "b"}', headers={"Content-Type": "application/json"}
    )
    assert response.json()["title"] == "b"


def test_the_schema_knows_every_field_that_the_rules_know() -> None:
    assert TaskCreate.checks.keys() <= set(TaskCreate.__struct_fields__)


async def test_a_due_date_is_rounded_to_six_decimals(client: httpx.AsyncClient) -> None:
    created = await client.post(TASKS, json={"title": "x", "due_date": "2026-12-01T10:00:00.1234567891Z"})
    assert created.json()["due_date"] == "2026-12-01T10:00:00.123457+00:00"

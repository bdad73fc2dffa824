"""What generators of clients, and the compilers of what they generate, depend on."""

import re
from dataclasses import replace
from typing import Any, Final, get_args

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.asgi import create_app
from app.settings import PriorityCase, Settings
from tests.test_openapi import nodes, operations, schemas

BODIES: Final = ("TaskCreate", "TaskUpdate", "Completion")
MOMENT: Final = re.compile(r"(^due_|_at$)")


@pytest.fixture(scope="module", params=get_args(PriorityCase))
def case(request: pytest.FixtureRequest) -> PriorityCase:
    case: PriorityCase = request.param
    return case


@pytest.fixture(scope="module")
def document(settings: Settings, case: PriorityCase) -> dict[str, Any]:
    return create_app(replace(settings, priority_case=case)).openapi_schema.to_schema()


def parameters(document: dict[str, Any], operation_id: str) -> dict[str, dict[str, Any]]:
    [found] = [operation for _, operation in operations(document) if operation["operationId"] == operation_id]
    return {parameter["name"]: parameter for parameter in found["parameters"]}


def test_a_validator_of_others_finds_nothing_wrong(document: dict[str, Any]) -> None:
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_no_schema_has_a_default(document: dict[str, Any]) -> None:
    assert [place for place, schema in schemas(document) if "default" in schema] == []


def test_only_a_title_is_required(document: dict[str, Any]) -> None:
    required = {name: document["components"]["schemas"][name].get("required", []) for name in BODIES}
    assert required == {"TaskCreate": ["title"], "TaskUpdate": [], "Completion": []}


def test_priority_is_one_enum_in_the_case_of_the_installation(document: dict[str, Any], case: PriorityCase) -> None:
    components = document["components"]["schemas"]
    names = ["high", "medium", "low"] if case == "lower" else ["HIGH", "MEDIUM", "LOW"]
    assert components["Priority"]["enum"] == names
    assert components["Stats"]["properties"]["by_priority"]["required"] == names
    reference = {"$ref": "#/components/schemas/Priority"}
    assert components["Task"]["properties"]["priority"] == reference
    assert parameters(document, "listTasks")["priority"]["schema"]["items"] == reference
    for name in ("TaskCreate", "TaskUpdate"):
        field = components[name]["properties"]["priority"]
        assert field["oneOf"] == [reference, {"type": "null"}]
        assert field["examples"] == [names[1]]
    answer = dict(operations(document))["GET /api/{user_id}/tasks"]["responses"]["200"]
    assert answer["content"]["application/json"]["example"][0]["priority"] == names[1]


async def test_every_spelling_of_a_priority_is_accepted(client: httpx.AsyncClient) -> None:
    for spelling in ("high", "HIGH", "High"):
        created = await client.post("/api/me/tasks", json={"title": "t", "priority": spelling})
        assert created.json()["priority"] == "HIGH"
        listed = await client.get("/api/me/tasks", params={"priority": spelling})
        assert created.json() in listed.json()


def test_every_moment_is_a_date_time(document: dict[str, Any]) -> None:
    fields = [
        (f"{name}.{field}", member)
        for name, schema in document["components"]["schemas"].items()
        for field, member in schema.get("properties", {}).items()
        if MOMENT.search(field)
    ]
    fields += [
        (name, parameter["schema"])
        for name, parameter in parameters(document, "listTasks").items()
        if MOMENT.search(name)
    ]
    assert {name for name, _ in fields} == {
        *(f"Task.{name}" for name in ("created_at", "updated_at", "due_date", "deleted_at")),
        *("TaskCreate.due_date", "TaskUpdate.due_date"),
        *(f"ChangedTask.{name}" for name in ("created_at", "updated_at", "due_date", "deleted_at")),
        *("Profile.first_seen_at", "due_after", "due_before"),
    }
    assert {name for name, schema in fields if schema.get("format") != "date-time"} == set()


def test_bodies_and_filters_say_their_limits_in_words_not_in_regular_expressions(document: dict[str, Any]) -> None:
    components = document["components"]["schemas"]
    query = [each for each in parameters(document, "listTasks").values() if each["in"] == "query"]
    for _, node in nodes([*(components[name] for name in BODIES), query]):
        assert not isinstance(node, dict) or "pattern" not in node


def test_a_cursor_is_opaque(document: dict[str, Any]) -> None:
    cursor = parameters(document, "listTasks")["cursor"]
    assert cursor["schema"] == {"type": "string"}
    assert "opaque" in cursor["description"]


@pytest.mark.parametrize(
    ("operation", "header", "fit", "unfit"),
    [
        ("updateTask", "If-Match", ['"7"', '"7", "8"', '"7","8"', "*", '""'], ["7", 'W/"7"', '"7" "8"', "", '*, "7"']),
        ("getTask", "If-None-Match", ['"7"', 'W/"7"', '"7", W/"8"'], ["7", '"7', '"7" "8"', "", 'w/"7"']),
    ],
)
def test_conditional_headers_have_the_form_of_entity_tags(
    document: dict[str, Any], operation: str, header: str, fit: list[str], unfit: list[str]
) -> None:
    pattern = parameters(document, operation)[header]["schema"]["pattern"]
    assert [text for text in fit if not re.search(pattern, text)] == []
    assert [text for text in unfit if re.search(pattern, text)] == []


def test_arrays_are_repeated_parameters_and_say_so(document: dict[str, Any]) -> None:
    """Orval joins them with commas where `explode` is not written down, though it is what OpenAPI takes for granted."""
    arrays = [each for each in parameters(document, "listTasks").values() if each["schema"].get("type") == "array"]
    assert arrays
    assert all(each["explode"] for each in arrays)


def test_of_the_two_ways_to_update_one_is_marked_as_the_one_to_use(document: dict[str, Any]) -> None:
    item = document["paths"]["/api/{user_id}/tasks/{task_id}"]
    assert item["put"]["deprecated"]
    assert "PATCH, which new clients should use" in item["put"]["description"]
    marked = [operation["operationId"] for _, operation in operations(document) if operation.get("deprecated")]
    assert marked == ["putTask"]

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx
import jsonschema_rs
import pytest
import schemathesis
from litestar import Litestar
from litestar.routes import HTTPRoute

from app.asgi import create_app
from app.errors import MEDIA_TYPE
from app.settings import Settings

NAMES: Final = {
    "getProfile": "GET /api/{user_id}",
    "eraseAccount": "DELETE /api/{user_id}",
    "streamEvents": "GET /api/{user_id}/events",
    "getStats": "GET /api/{user_id}/stats",
    "listChanges": "GET /api/{user_id}/tasks/changes",
    "runBatch": "POST /api/{user_id}/tasks/batch",
    "listTasks": "GET /api/{user_id}/tasks",
    "createTask": "POST /api/{user_id}/tasks",
    "getTask": "GET /api/{user_id}/tasks/{task_id}",
    "putTask": "PUT /api/{user_id}/tasks/{task_id}",
    "updateTask": "PATCH /api/{user_id}/tasks/{task_id}",
    "deleteTask": "DELETE /api/{user_id}/tasks/{task_id}",
    "completeTask": "PATCH /api/{user_id}/tasks/{task_id}/complete",
    "restoreTask": "POST /api/{user_id}/tasks/{task_id}/restore",
    "getService": "GET /",
    "getHealth": "GET /health",
    "getReadiness": "GET /ready",
}
SERVICE: Final = {"getService", "getHealth", "getReadiness"}
LONGEST_INTEGER: Final = 2**53


@pytest.fixture(scope="module")
def document(app: Litestar) -> dict[str, Any]:
    return app.openapi_schema.to_schema()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def nodes(node: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    yield place, node
    for key, member in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from nodes(member, f"{place}/{key}")


def schemas(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema with where it stands."""
    for place, node in nodes(document):
        if place.endswith("/schema"):
            yield place, node
    for name, schema in document["components"]["schemas"].items():
        yield name, schema
        for field, member in schema.get("properties", {}).items():
            yield f"{name}.{field}", member


def validator(document: dict[str, Any], schema: dict[str, Any]) -> jsonschema_rs.Validator:
    return jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]}, validate_formats=True)


async def test_the_document_is_served_as_it_is_without_a_token(
    anonymous: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    answer = await anonymous.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == document


def test_it_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(document).validate()


def test_every_schema_is_valid_json_schema(document: dict[str, Any]) -> None:
    places = [place for place, schema in schemas(document) if not jsonschema_rs.meta.is_valid(schema)]
    assert places == []


def test_every_reference_leads_somewhere_and_every_schema_is_used(document: dict[str, Any]) -> None:
    referenced = {node["$ref"] for _, node in nodes(document) if isinstance(node, dict) and "$ref" in node}
    assert referenced == {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}


def test_operation_ids_are_method_names(document: dict[str, Any]) -> None:
    assert {operation["operationId"]: route for route, operation in operations(document)} == NAMES


def test_every_route_but_the_pages_is_documented(app: Litestar) -> None:
    routed = {
        f"{method} {route.path_format}"
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method in route.route_handler_map
        if method != "OPTIONS"
    }
    pages = {route for route in routed if route.startswith(("GET /docs", "HEAD /docs"))} | {"GET /openapi.json"}
    assert routed - pages == set(NAMES.values())


def test_data_needs_a_token_and_probes_need_none(document: dict[str, Any]) -> None:
    assert document["security"] == [{"bearerAuth": []}]
    scheme = document["components"]["securitySchemes"]["bearerAuth"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    for _, operation in operations(document):
        assert operation.get("security") == ([] if operation["operationId"] in SERVICE else None)


def test_every_parameter_is_described_and_those_of_the_path_are_there(document: dict[str, Any]) -> None:
    for route, operation in operations(document):
        parameters = operation.get("parameters", [])
        assert all(parameter["description"] for parameter in parameters)
        in_path = [parameter["name"] for parameter in parameters if parameter["in"] == "path"]
        assert in_path == re.findall(r"\{(\w+)\}", route)
        assert all(parameter["required"] for parameter in parameters if parameter["in"] == "path")


def test_every_operation_says_what_it_does(document: dict[str, Any]) -> None:
    for _, operation in operations(document):
        assert operation["summary"]
        assert operation["description"]
        assert operation["tags"]


def test_what_a_token_is_not_good_for_is_described_with_its_challenge(document: dict[str, Any]) -> None:
    checked = 0
    for _, operation in operations(document):
        if operation["operationId"] not in SERVICE:
            response = operation["responses"]["403"]
            assert "scope" in response["description"]
            header = response["headers"]["WWW-Authenticate"]
            assert header["example"] == 'Bearer error="insufficient_scope", scope="tasks:read"'
            assert not header.get("required")
            assert operation["responses"]["401"]["headers"]["WWW-Authenticate"]["required"]
            checked += 1
    assert checked == len(NAMES) - len(SERVICE)
    [scheme] = document["components"]["securitySchemes"].values()
    assert "`insufficient_scope`" in scheme["description"]


def test_every_answer_has_its_headers(document: dict[str, Any]) -> None:
    with_etag = {"listChanges", "listTasks", "createTask", "getTask", "putTask", "updateTask", "completeTask"}
    with_etag |= {"restoreTask"}
    for _, operation in operations(document):
        name = operation["operationId"]
        for status, response in operation["responses"].items():
            expected = {"X-Request-Id"}
            expected |= {"ETag"} if status < "400" and name in with_etag else set()
            expected |= {"Location", "Idempotent-Replayed"} if status == "201" else set()
            expected |= {"Link"} if (name, status) == ("listTasks", "200") else set()
            expected |= {"WWW-Authenticate"} if status in {"401", "403"} else set()
            expected |= {"Retry-After"} if status in {"429", "503"} else set()
            expected |= {"RateLimit", "RateLimit-Policy"} if operation.get("security") is None else set()
            assert response["headers"].keys() == expected, (name, status)
            optional = {header for header in expected if not response["headers"][header].get("required")}
            may_lack = {"Idempotent-Replayed", "Link", "RateLimit", "RateLimit-Policy"} | (
                {"WWW-Authenticate"} if status == "403" else set()
            )
            assert optional == expected & may_lack


def test_every_error_is_a_problem_with_its_own_example(document: dict[str, Any]) -> None:
    for _, operation in operations(document):
        for status, response in operation["responses"].items():
            if status >= "400":
                assert list(response["content"]) == [MEDIA_TYPE]
                content = response["content"][MEDIA_TYPE]
                has_results = (operation["operationId"], status) == ("runBatch", "409")
                details = "BatchProblem" if has_results else "ProblemDetails"
                assert content["schema"] == {"$ref": f"#/components/schemas/{details}"}
                assert content["example"]["status"] == int(status)
            elif status in {"204", "304"}:
                assert "content" not in response
            else:
                streamed = operation["operationId"] == "streamEvents"
                assert list(response["content"]) == ["text/event-stream" if streamed else "application/json"]


def test_conditional_reads_and_writes_are_documented(document: dict[str, Any]) -> None:
    for _, operation in operations(document):
        headers = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "header"}
        assert ("If-None-Match" in headers) == ("304" in operation["responses"])
        assert ("If-Match" in headers) == ("412" in operation["responses"])


def test_bodies_are_required_but_to_complete_a_task(document: dict[str, Any]) -> None:
    required = {
        operation["operationId"]: operation["requestBody"].get("required", False)
        for _, operation in operations(document)
        if "requestBody" in operation
    }
    always = dict.fromkeys(("createTask", "putTask", "runBatch", "updateTask"), True)
    assert required == {**always, "completeTask": False}


def test_every_answer_and_every_body_has_an_example_that_fits_its_schema(document: dict[str, Any]) -> None:
    contents = [(place, node) for place, node in nodes(document) if re.search(r"/content/[a-z]+/[a-z+-]+$", place)]
    for _, content in contents:
        validator(document, content["schema"]).validate(content["example"])
    assert len(contents) == len(
        [place for place, _ in nodes(document) if place.endswith(("json/schema", "stream/schema"))]
    )


def test_every_other_example_fits_its_schema(document: dict[str, Any]) -> None:
    examples = [
        (schema, example) for _, schema in schemas(document) for example in schema.get("examples", []) if schema
    ]
    examples += [
        (node["schema"], node["example"])
        for _, node in nodes(document)
        if isinstance(node, dict) and {"schema", "example"} <= node.keys()
    ]
    for schema, example in examples:
        validator(document, schema).validate(example)
    assert len(examples) > 20


def test_nothing_is_said_in_a_roundabout_way(document: dict[str, Any]) -> None:
    for place, node in nodes(document):
        if not isinstance(node, dict) or "/example" in place:
            continue
        assert len(node.get("oneOf", ["", ""])) > 1, place
        assert not ("oneOf" in node and "type" in node), place
        numbers = [value for value in node.values() if isinstance(value, float)]
        assert numbers == [], place


def test_large_integers_are_marked_for_typed_languages(document: dict[str, Any]) -> None:
    marked = {place for place, schema in schemas(document) if schema.get("format") == "int64"}
    assert {"Task.id", "Task.revision", "Profile.revision"} <= marked
    for place, node in nodes(document):
        if isinstance(node, int) and "/example" in place:
            assert node < LONGEST_INTEGER, place


def test_what_an_answer_always_has_is_required(document: dict[str, Any]) -> None:
    inputs = {"Batch", "TaskCreate", "TaskUpdate", "Completion", "PutOperation", "PatchOperation", "DeleteOperation"}
    for name, schema in document["components"]["schemas"].items():
        if name not in inputs and "properties" in schema:
            optional = {"deleted_at"} if name == "Task" else set()  # only the trash has it
            assert set(schema["required"]) == schema["properties"].keys() - optional, name
    assert document["components"]["schemas"]["TaskCreate"]["required"] == ["title"]
    assert "required" not in document["components"]["schemas"]["TaskUpdate"]


def test_of_the_frameworks_own_errors_nothing_is_left(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    assert "status_code" not in text
    assert '"extra"' not in text
    assert "Validation Exception" not in text


def test_lists_are_described_within_the_envelope_that_they_have(settings: Settings) -> None:
    document = create_app(replace(settings, list_envelope="data")).openapi_schema.to_schema()
    [(_, answer)] = dict(operations(document))["GET /api/{user_id}/tasks"]["responses"]["200"]["content"].items()
    assert answer["schema"] == {"$ref": "#/components/schemas/TaskList"}
    assert answer["example"].keys() == {"data"}
    validator(document, answer["schema"]).validate(answer["example"])
    assert not validator(document, answer["schema"]).is_valid(answer["example"]["data"])
    test_every_reference_leads_somewhere_and_every_schema_is_used(document)
    test_every_schema_is_valid_json_schema(document)


def test_the_command_line_writes_the_same_document(
    document: dict[str, Any], settings: Settings, tmp_path: Path
) -> None:
    written = tmp_path / "openapi.json"
    subprocess.run(
        [sys.executable, "-m", "litestar", "schema", "openapi", "--output", str(written)],
        env={"DATABASE_URL": settings.database_url, "BETTER_AUTH_SECRET": settings.better_auth_secret},
        check=True,
        capture_output=True,
    )
    assert json.loads(written.read_text()) == document

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.settings import Settings
from tests.conftest import client_of, random_user, running
from tests.http.test_bodies import JSON_VALUES
from tests.tasks.batch.requests import BATCH, TASKS, put, send

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["operations"]),
        ([], ["body"]),
        ({"operations": {}}, ["operations"]),
        ({"operations": [], "atomic": None}, ["atomic"]),
        ({"operations": [1, put("a-good-one"), None]}, ["operations.0", "operations.2"]),
        (
            {"operations": [put("a-good-one"), {"op": "upsert", "id": 1}, {"id": 1}]},
            ["operations.1.op", "operations.2.op"],
        ),
        (
            {"operations": [{"op": "delete"}, {"op": "delete", "id": 1, "uid": "both-of-them"}]},
            ["operations.0.uid", "operations.1.uid"],
        ),
        (
            {"operations": [{"op": "delete", "id": "7", "uid": 7, "base": "x"}]},
            ["operations.0.uid", "operations.0.id", "operations.0.base"],
        ),
        ({"operations": [put("one-of-many")] * 101}, ["operations"]),
    ],
)
async def test_what_makes_no_sense_is_refused_as_a_whole(
    client: httpx.AsyncClient, body: Any, fields: list[str]
) -> None:
    answer = await client.post(BATCH, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert [error["field"] for error in answer.json()["errors"]] == fields
    assert (await client.get(TASKS)).json() == []


async def test_a_whole_number_may_be_written_with_a_decimal_point_and_no_other_may(client: httpx.AsyncClient) -> None:
    task = (await client.post(TASKS, json={"title": "x"})).json()
    numbers = {"id": float(task["id"]), "base": float(task["revision"])}
    assert ".0" in json.dumps(numbers)
    answer = await send(client, {"op": "patch", **numbers, "data": {"title": "y"}})
    assert (answer.status_code, answer.json()["results"][0]["task"]["title"]) == (200, "y")
    again = await send(client, {"op": "patch", **numbers, "data": {"title": "z"}})
    assert (again.status_code, again.json()["code"]) == (409, "batch_conflict")
    assert (await send(client, {"op": "delete", "id": 1e300})).status_code == 200
    for number in (task["id"] + 0.5, True):
        refused = await send(client, {"op": "delete", "id": number, "base": number})
        assert [error["field"] for error in refused.json()["errors"]] == ["operations.0.id", "operations.0.base"]


@pytest.mark.parametrize(
    "text", ['{"operations": [{]}', '{"operations": [{"op": "put", "uid": "abcdefgh", "data": {"title": "\\x"}}]}']
)
async def test_what_is_no_json_is_refused_as_a_whole(client: httpx.AsyncClient, text: str) -> None:
    answer = await client.post(BATCH, content=text, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


async def test_json_that_is_nested_without_end_is_refused(client: httpx.AsyncClient) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    for text in (
        f'{{"operations": {deep}}}',
        f'{{"operations": [{{"op": "put", "uid": "abcdefgh", "data": {deep}}}]}}',
    ):
        answer = await client.post(BATCH, content=text, headers=JSON)
        assert answer.json()["code"] == "malformed_json"


async def test_a_hundred_of_the_largest_tasks_are_within_the_limit(client: httpx.AsyncClient) -> None:
    data = {"title": "é" * 200, "description": "漢" * 1000, "tags": ["é" * 50] * 20}
    operations = [{"op": "put", "uid": f"large-task-{n}", "data": data} for n in range(100)]
    body = json.dumps({"operations": operations}, ensure_ascii=False).encode()
    assert 2**16 < len(body) < 2**20
    answer = await client.post(BATCH, content=body, headers=JSON)
    assert answer.status_code == 200
    assert len((await client.get(TASKS)).json()) == 100


@pytest.mark.parametrize("direct", [True, False], ids=["direct", "litestar"])
async def test_a_batch_has_a_limit_of_its_own(settings: Settings, direct: bool) -> None:
    smaller = replace(settings, max_body_bytes=1024, max_batch_bytes=4096, direct_dispatch=direct)
    async with running(smaller) as app, client_of(app, smaller, random_user()) as client:
        fits = json.dumps({"operations": [put("in-a-limit")]}).encode().ljust(4096)
        assert (await client.post(BATCH, content=fits, headers=JSON)).status_code == 200
        for body in (fits + b" ", [fits, b" "]):
            content: Any = body if isinstance(body, bytes) else parts(body)
            answer = await client.post(BATCH, content=content, headers=JSON)
            assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
        assert (await client.post(TASKS, content=fits, headers=JSON)).status_code == 413


async def parts(body: list[bytes]) -> Any:
    for part in body:
        yield part


OPERATION = st.fixed_dictionaries(
    {},
    optional={
        "op": st.sampled_from(["put", "patch", "delete"]) | JSON_VALUES,
        "uid": st.sampled_from(["abcdefgh", "12", ""]) | JSON_VALUES,
        "id": st.integers() | JSON_VALUES,
        "base": st.integers() | JSON_VALUES,
        "data": st.fixed_dictionaries({"title": JSON_VALUES | st.just("x")}, optional={"tags": JSON_VALUES})
        | JSON_VALUES,
    },
)
BODIES = st.fixed_dictionaries(
    {"operations": st.lists(OPERATION | JSON_VALUES, max_size=4)}, optional={"atomic": JSON_VALUES}
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES | JSON_VALUES)
async def test_no_json_value_is_a_bug_of_ours(client: httpx.AsyncClient, body: Any) -> None:
    answer = await client.post(BATCH, content=json.dumps(body), headers=JSON)
    assert answer.status_code in {200, 400, 409, 422}


WELL_FORMED = st.fixed_dictionaries(
    {"op": st.sampled_from(["put", "patch", "delete"]), "uid": st.sampled_from(["abcdefgh", "zyxwvuts", "12", "no"])},
    optional={
        "base": st.integers(),
        "data": st.dictionaries(st.sampled_from(["title", "tags", "due_date"]), JSON_VALUES | st.text()),
    },
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=st.lists(WELL_FORMED, max_size=5), atomic=st.booleans())
async def test_no_operation_is_a_bug_of_ours(client: httpx.AsyncClient, operations: list[Any], atomic: bool) -> None:
    answer = await send(client, *operations, atomic=atomic)
    assert answer.status_code in {200, 400, 409}
    if answer.status_code != 400:
        assert len(answer.json()["results"]) == len(operations)

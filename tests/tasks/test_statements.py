import json
from typing import Any

import asyncpg
import httpx
import pytest

from app.db.statement import Statement
from app.tasks import listing, openapi
from app.tasks.parameters import FILTERS, PARAMETERS
from app.tasks.query import ListQuery, parse
from app.tasks.rules import PRIORITIES
from app.tasks.statements import TaskStatements

TASKS = "/api/me/tasks"


async def plan(
    connection: asyncpg.Connection, query: ListQuery, user_id: str, known: list[int]
) -> list[dict[str, Any]]:
    """Every node of the plan that ran the list statement."""
    statement = TaskStatements(PRIORITIES).page(query)
    values = {**listing.arguments(query), "user_id": user_id, "known": known}
    text = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.sql}", *statement.arguments(values))
    nodes = [json.loads(text)[0]["Plan"]]
    for node in nodes:
        nodes.extend(node.get("Plans", []))
    return nodes


async def test_a_list_that_the_client_holds_never_touches_the_tasks(
    client: httpx.AsyncClient, user_id: str, connection: asyncpg.Connection
) -> None:
    revision = (await client.post(TASKS, json={"title": "x"})).json()["revision"]
    for known, touched in (([revision], 0), ([revision - 1], 1), ([], 1)):
        nodes = await plan(connection, ListQuery(), user_id, known)
        [scan] = [node for node in nodes if node.get("Relation Name") == "tasks"]
        assert scan["Actual Loops"] == touched


@pytest.mark.parametrize(
    "query", [b"", b"status=pending&limit=2", b"sort=title&search=x", b"tag=a&due_after=2026-01-01"]
)
async def test_every_list_is_confined_to_the_user_by_the_key(
    client: httpx.AsyncClient, user_id: str, connection: asyncpg.Connection, query: bytes
) -> None:
    await client.post(TASKS, json={"title": "x"})
    await connection.execute("SET enable_seqscan = off")
    for node in await plan(connection, parse(query), user_id, []):
        if node.get("Relation Name") == "tasks" or node["Node Type"] == "Bitmap Index Scan":
            assert "user_id" in node.get("Index Cond", node.get("Recheck Cond", ""))


def test_statements_are_compiled_once_per_shape() -> None:
    statements = TaskStatements(PRIORITIES)
    assert statements.page(parse(b"search=a&limit=5")) is statements.page(parse(b"search=b&limit=6"))
    assert statements.page(parse(b"search=a")) is not statements.page(parse(b"tag=a"))


def test_a_long_query_string_is_parsed_but_not_remembered() -> None:
    long = b"x=" + b"y" * 1000
    assert parse(long) == parse(b"") == ListQuery()
    assert parse(b"") is parse(b"")
    assert parse(long) is not parse(long)


def test_a_prepared_name_stands_for_the_same_text_in_every_process() -> None:
    first, second, other = (
        TaskStatements(PRIORITIES),
        TaskStatements(PRIORITIES),
        TaskStatements(["low", "medium", "high"]),
    )
    late = second.page(parse(b"status=pending"))
    second.page(parse(b""))
    first.page(parse(b""))
    assert first.page(parse(b"status=pending")).prepared_name == late.prepared_name
    assert first.by_id.get.prepared_name == second.by_id.get.prepared_name
    assert first.by_id.get.prepared_name != other.by_id.get.prepared_name


def test_lists_within_an_envelope_are_other_statements_and_nothing_else_is() -> None:
    bare, within = TaskStatements(PRIORITIES), TaskStatements(PRIORITIES, "tasks")
    assert within.page(parse(b"")).prepared_name != bare.page(parse(b"")).prepared_name
    assert within.page(parse(b"")).parameters == bare.page(parse(b"")).parameters
    assert within.by_id.get.prepared_name == bare.by_id.get.prepared_name


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_changes_the_statement_and_its_value_never_does(name: str) -> None:
    values = {"status": (True, False), "search": ("a", "b")}.get(name, ((1,), (2, 3)))
    plain, first, second = ListQuery(), *(ListQuery(filters=((name, value),)) for value in values)
    assert len({listing.shape(plain), listing.shape(first)}) == 2
    assert listing.shape(first) == listing.shape(second)
    sql = [
        Statement.compile("tasks.list", listing.page(query, lambda tasks: list(tasks.c))).sql
        for query in (plain, first, second)
    ]
    assert sql[0] != sql[1]
    assert sql[1] == sql[2]


def test_every_parameter_is_read_and_documented() -> None:
    documented = openapi.LIST["opt"]["parameters"]
    names = {parameter.name for parameter in documented if parameter.param_in == "query"}
    assert names == set(PARAMETERS)
    for name in FILTERS:
        assert PARAMETERS[name].type_ is not None


def test_a_statement_has_its_name_behind_the_first_word_of_its_text() -> None:
    assert TaskStatements(PRIORITIES).page(ListQuery()).sql.startswith("SELECT /* tasks.list */ ")
    assert TaskStatements(PRIORITIES).create.sql.startswith("WITH /* tasks.create */ ")

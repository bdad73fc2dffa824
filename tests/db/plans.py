"""Asks PostgreSQL how it runs a compiled statement: planned for its parameters, or once for all of them.

A named prepared statement gets the second kind, a generic plan, as a rule from its sixth execution on (PostgreSQL
documentation, "PREPARE"); so what has to hold has to hold for both.
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from app.db.statement import Statement

Node = dict[str, Any]


async def plan(connection: asyncpg.Connection, statement: Statement, values: Mapping[str, Any]) -> Node:
    """Return the plan for these values."""
    text = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {statement.sql}", *statement.arguments(values))
    return _top(text)


async def generic_plan(connection: asyncpg.Connection, statement: Statement) -> Node:
    """Return the plan for any values."""
    nulls = ", ".join("NULL" for _ in statement.parameters)
    async with _prepared(connection, statement, generic=True):
        return _top(await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE planned({nulls})"))


async def run(
    connection: asyncpg.Connection, statement: Statement, values: Mapping[str, Any], *, generic: bool
) -> Node:
    """Execute the statement and return its plan with the rows and the buffers that it took."""
    arguments = statement.arguments(values)
    types = [parameter.name for parameter in (await connection.prepare(statement.sql)).get_parameters()]
    literals = ", ".join("%L" for _ in types)
    typed = ", ".join(f"${number}::{name}" for number, name in enumerate(types, start=1))
    async with _prepared(connection, statement, generic=generic):
        execute = await connection.fetchval(f"SELECT format('EXECUTE planned({literals})', {typed})", *arguments)
        return _top(await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {execute}"))


def nodes(top: Node) -> Iterator[Node]:
    """Yield the node and everything below it."""
    yield top
    for child in top.get("Plans", ()):
        yield from nodes(child)


@asynccontextmanager
async def _prepared(connection: asyncpg.Connection, statement: Statement, *, generic: bool) -> AsyncIterator[None]:
    mode = "force_generic_plan" if generic else "force_custom_plan"
    await connection.execute(f"SET plan_cache_mode = {mode}; PREPARE planned AS {statement.sql}")
    try:
        yield
    finally:
        await connection.execute("DEALLOCATE planned; RESET plan_cache_mode")


def _top(text: str) -> Node:
    [explained] = json.loads(text)
    top: Node = explained["Plan"]
    return top

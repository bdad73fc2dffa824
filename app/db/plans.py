"""What the plan of a statement says, of which only the text that the server has kept is known. Nothing is run.

All of it has to be within one transaction, so that a pooler gives the whole of it to one server.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import asyncpg

LARGE_TABLE_BYTES: Final = 1024 * 1024
"""Smaller tables are read as a whole with good reason."""

SIZE: Final = "SELECT pg_relation_size(format('%I.%I', $1::text, $2::text)::regclass)"
PARAMETER: Final = re.compile(r"\$([0-9]+)")
EXTRACTED: Final = re.compile(r"EXTRACT\(\$[0-9]+ FROM", re.IGNORECASE)
"""What the server makes of a field to extract, where nothing but a field may stand; any is planned like another."""


async def read_as_a_whole(connection: Any, sql: str) -> set[str]:
    """Return the large tables that the statement's plan for any values scans; none if it cannot be planned again."""
    await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
    try:
        parameters = await prepare(connection, sql)
        try:
            async with connection.transaction():
                nulls = _listed(["NULL"] * parameters)
                [row] = await connection.fetch(f"EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE explained{nulls}")
        finally:
            await connection.execute("DEALLOCATE explained")
    except asyncpg.PostgresError:
        return set()
    [explained] = row[0]  # which SQLAlchemy has its connections decode
    tables = {*_scanned(explained["Plan"])}
    return {table for table in tables if await connection.fetchval(SIZE, *table.split(".")) >= LARGE_TABLE_BYTES}


async def prepare(connection: Any, sql: str) -> int:
    """Prepare the statement as `explained` and return how many parameters it has. Raises asyncpg.PostgresError.

    The server has put parameters in the place of constants. It can tell their types, or we say that they are texts.
    """
    text = EXTRACTED.sub("EXTRACT(epoch FROM", sql)
    types = ["unknown"] * max(map(int, PARAMETER.findall(sql)), default=0)
    while True:
        try:
            async with connection.transaction():
                await connection.fetch(f"PREPARE explained{_listed(types)} AS {text}")
        except asyncpg.IndeterminateDatatypeError as error:
            number = PARAMETER.search(str(error))
            if number is None or types[int(number[1]) - 1] == "text":
                raise
            types[int(number[1]) - 1] = "text"
        else:
            return len(types)


def _listed(words: Iterable[str]) -> str:
    inside = ", ".join(words)
    return f" ({inside})" if inside else ""


def _scanned(node: dict[str, Any]) -> Iterator[str]:
    if node["Node Type"] == "Seq Scan":
        yield f"{node['Schema']}.{node['Relation Name']}"
    for inner in node.get("Plans", ()):
        yield from _scanned(inner)

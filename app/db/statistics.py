"""What PostgreSQL has counted of our statements in its view pg_stat_statements, and what their plans say of them.

Only statements with one of our names in them are told, and no plan is run.
"""

from collections.abc import Iterator
from typing import Any, Final

import asyncpg
from msgspec import Struct, field

from app.db import plans
from app.db.names import name_in

BLOCK_BYTES: Final = 8192
MEBIBYTE: Final = 1024 * 1024
MANY_BLOCKS_READ: Final = 1000
LOW_HIT_SHARE: Final = 0.9
SHAPES_EXPLAINED: Final = 50
"""Of each row that is told, those that took longest."""

INSTALLED: Final = """
    SELECT quote_ident(nspname) AS schema
    FROM pg_available_extensions
    LEFT JOIN (pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace) ON extname = name
    WHERE name = 'pg_stat_statements'
"""
COUNTED: Final = """
    SELECT queryid AS id, query AS sql, calls, rows, total_exec_time AS total_ms, temp_blks_written AS spilled,
           shared_blks_hit AS hit, shared_blks_read AS read,
           userid = (SELECT oid FROM pg_roles WHERE rolname = current_user) AS own
    FROM {schema}.pg_stat_statements
    WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
HIDDEN: Final = "<insufficient privilege>"


class StatisticsMissing(Exception):  # noqa: N818 - what happened
    """The server counts nothing, or shows it to others only; the text says in a sentence what to do."""


class Counted(Struct, kw_only=True):
    """A statement, or all statements of a name, since the counts were last set back: times in milliseconds."""

    name: str
    calls: int
    mean_ms: float
    total_ms: float
    share: float
    """Of the time of all statements in this database, from 0 to 1."""
    rows_per_call: float
    hints: list[str]
    id: str | None = None
    sql: str | None = None


class Shape(Struct):
    """One text, as the server's roles have used it."""

    name: str
    id: int
    sql: str
    calls: int = 0
    rows: int = 0
    total_ms: float = 0
    spilled: int = 0
    hit: int = 0
    read: int = 0
    own: bool = False
    tables: set[str] = field(default_factory=set)
    """Large ones that its plan reads as a whole."""

    def add(self, row: asyncpg.Record) -> None:
        for number in ("calls", "rows", "total_ms", "spilled", "hit", "read"):
            setattr(self, number, getattr(self, number) + row[number])
        self.own = self.own or row["own"]


async def read(connection: Any, *, limit: int, shapes: bool) -> list[Counted]:
    """Return what took longest in total, by name or by shape. Raises StatisticsMissing, asyncpg.PostgresError.

    All within one transaction, so that a pooler gives the whole of it to one server.
    """
    async with connection.transaction(readonly=True):
        return await _read(connection, limit=limit, shapes=shapes)


async def _read(connection: Any, *, limit: int, shapes: bool) -> list[Counted]:
    rows = await _counted(connection)
    found: dict[int, Shape] = {}
    for row in rows:
        if name := name_in(row["sql"] or ""):
            found.setdefault(row["id"], Shape(name, row["id"], row["sql"])).add(row)
    if not found and any(row["sql"] == HIDDEN for row in rows):
        raise StatisticsMissing(
            "Ask as the role that the service has, or run `GRANT pg_read_all_stats TO` yours: "
            "statements of other roles are hidden from it."
        )
    groups: dict[Any, list[Shape]] = {}
    for shape in sorted(found.values(), key=lambda shape: -shape.total_ms):
        groups.setdefault(shape.id if shapes else shape.name, []).append(shape)
    everything = sum(row["total_ms"] for row in rows)
    longest = sorted(groups.values(), key=lambda group: -sum(shape.total_ms for shape in group))[:limit]
    for group in longest:
        for shape in group[:SHAPES_EXPLAINED]:
            if shape.own:  # planning evaluates what is immutable, so not what others may have written
                shape.tables = await plans.read_as_a_whole(connection, shape.sql)
    return [_told(group, everything, shapes=shapes) for group in longest]


async def _counted(connection: Any) -> list[asyncpg.Record]:
    installed = await connection.fetchrow(INSTALLED)
    if installed is None:
        raise StatisticsMissing(
            "This PostgreSQL comes without the extension pg_stat_statements, as the embedded one does."
        )
    if installed["schema"] is None:
        raise StatisticsMissing(
            "Run `CREATE EXTENSION pg_stat_statements` in this database as its owner, which is all that Neon needs; "
            "elsewhere, first set shared_preload_libraries = 'pg_stat_statements' and restart PostgreSQL."
        )
    try:
        rows: list[asyncpg.Record] = await connection.fetch(COUNTED.format(schema=installed["schema"]))
    except asyncpg.ObjectNotInPrerequisiteStateError:
        raise StatisticsMissing(
            "Set shared_preload_libraries = 'pg_stat_statements' in postgresql.conf and restart PostgreSQL: "
            "the extension is there, but nothing counts."
        ) from None
    except asyncpg.InsufficientPrivilegeError:
        raise StatisticsMissing(
            "Let this role read the counts: run `GRANT SELECT ON pg_stat_statements TO` it, as the extension's owner."
        ) from None
    except asyncpg.UndefinedColumnError:
        raise StatisticsMissing("Run `ALTER EXTENSION pg_stat_statements UPDATE`: it is too old.") from None
    return rows


def _told(group: list[Shape], everything: float, *, shapes: bool) -> Counted:
    calls, total = sum(shape.calls for shape in group), sum(shape.total_ms for shape in group)
    return Counted(
        name=group[0].name,
        calls=calls,
        mean_ms=round(total / calls, 3),
        total_ms=round(total, 3),
        share=round(total / everything, 4) if everything else 0,
        rows_per_call=round(sum(shape.rows for shape in group) / calls, 2),
        hints=[*_hints(group)],
        id=str(group[0].id) if shapes else None,
        sql=group[0].sql if shapes else None,
    )


def _hints(group: list[Shape]) -> Iterator[str]:
    for table in sorted(set[str]().union(*(shape.tables for shape in group))):
        yield f"reads all of {table}"
    if spilled := sum(shape.spilled for shape in group):
        yield f"spilled {spilled * BLOCK_BYTES / MEBIBYTE:.1f} MiB to disk"
    read, hit = sum(shape.read for shape in group), sum(shape.hit for shape in group)
    if read >= MANY_BLOCKS_READ and hit / (hit + read) < LOW_HIT_SHARE:
        yield f"{read / (hit + read):.0%} of its blocks were not in PostgreSQL's memory"

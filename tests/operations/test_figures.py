"""The bytes that docs/operations/capacity.py starts from are counted on a real PostgreSQL."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, NamedTuple

import asyncpg
import pytest

from app.db import migrations
from app.settings import Settings
from docs.operations.capacity import Inputs
from tests.conftest import client_of, running
from tests.load.growth_seed import BIG, PROBE_TASKS, PROBES, TASKS, USERS
from tests.processes import ROOT

ROWS = 50_000
A_USER = 25
SIZES = """
SELECT relname::text AS name, pg_relation_size(oid) AS bytes FROM pg_class
WHERE relname ~ '^(tasks|users)(_pkey|_user_id_.*)?$' AND relkind IN ('r', 'i')
"""
ONE_A_PAGE = """
SELECT DISTINCT ON ((users.ctid::text::point)[0]) users.id AS user_id, tasks.id
FROM users JOIN tasks ON tasks.user_id = users.id AND deleted_at IS NULL
"""
VACUUMING = """
SELECT current_setting('autovacuum') = 'on'
       OR EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE 'autovacuum%')
"""
WAL = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')"
PAGE = (ROOT / "docs" / "capacity.md").read_text()
WRITES: dict[str, tuple[str, str, Any]] = {
    "create": ("POST", "/api/me/tasks", {"title": "Buy milk", "tags": ["home"]}),
    "update": ("PATCH", "/api/me/tasks/{id}", {"title": "Buy milk and bread"}),
    "complete": ("PATCH", "/api/me/tasks/{id}/complete", None),
    "delete": ("DELETE", "/api/me/tasks/{id}", None),
}


class Filled(NamedTuple):
    settings: Settings
    connection: asyncpg.Connection


@pytest.fixture(scope="module")
def apart(create_database: Callable[[], str], settings: Settings) -> Settings:
    apart = replace(settings, database_url=create_database())
    migrations.upgrade(apart)
    return apart


@pytest.fixture(scope="module")
async def filled(apart: Settings) -> AsyncIterator[Filled]:
    """A database that its users filled in the order of time, so that its indexes are as full as they get."""
    connection = await asyncpg.connect(apart.database_url)
    await connection.execute("ALTER TABLE tasks SET (autovacuum_enabled = off)")
    await connection.execute(TASKS, ROWS, ROWS // A_USER, 0, PROBES, ROWS // (PROBES * PROBE_TASKS), BIG)
    await connection.execute(USERS)
    await connection.execute("VACUUM ANALYZE tasks")
    yield Filled(apart, connection)
    await connection.close()


async def test_bytes_of_a_task_and_of_a_user_are_what_the_tables_and_indexes_take(filled: Filled) -> None:
    sizes = {row["name"]: row["bytes"] for row in await filled.connection.fetch(SIZES)}
    users = await filled.connection.fetchval("SELECT count(*) FROM users")
    of_users = sizes["users"] + sizes["users_pkey"]
    assert (sum(sizes.values()) - of_users) / ROWS == pytest.approx(Inputs().task_bytes, rel=0.05)
    assert of_users / users == pytest.approx(Inputs().user_bytes, rel=0.05)


@pytest.fixture
async def nothing_else_writes(filled: Filled) -> AsyncIterator[None]:
    """Keep the server's own processes from writing WAL, which is counted for all of the server."""
    await filled.connection.execute("ALTER SYSTEM SET autovacuum = off")
    await filled.connection.execute("SELECT pg_reload_conf()")
    async with asyncio.timeout(60):
        while await filled.connection.fetchval(VACUUMING):
            await asyncio.sleep(0.1)
    yield
    await filled.connection.execute("ALTER SYSTEM RESET autovacuum")
    await filled.connection.execute("SELECT pg_reload_conf()")


@pytest.mark.usefixtures("nothing_else_writes")
async def test_wal_of_a_write_is_that_of_the_four_writes_to_pages_not_written_since_a_checkpoint(
    filled: Filled,
) -> None:
    places = await filled.connection.fetch(ONE_A_PAGE)
    bytes_of = {}
    async with running(filled.settings) as app:
        for name, (method, path, body) in WRITES.items():
            await filled.connection.execute("CHECKPOINT")
            before = await filled.connection.fetchval(WAL)
            for place in places:
                async with client_of(app, filled.settings, place["user_id"]) as client:
                    written = await client.request(method, path.format(id=place["id"]), json=body)
                    assert written.is_success, written.text
            after = await filled.connection.fetchval(WAL)
            bytes_of[name] = float(after - before) / len(places)
    [row] = re.findall(r"^\| to pages that were not \| (.*) \|$", PAGE, flags=re.MULTILINE)
    documented = [int(number.replace(",", "")) for number in row.split(" | ")]
    assert list(bytes_of.values()) == pytest.approx(documented, rel=0.1)
    assert sum(bytes_of.values()) / len(bytes_of) == pytest.approx(Inputs().wal_bytes, rel=0.1)


async def test_list_of_fifty_has_the_bytes_that_are_reckoned_with(filled: Filled) -> None:
    user = await filled.connection.fetchval("SELECT user_id FROM tasks GROUP BY 1 ORDER BY count(*) DESC LIMIT 1")
    async with running(filled.settings) as app, client_of(app, filled.settings, user) as client:
        listed = await client.get("/api/me/tasks?limit=50")
    assert len(listed.json()) == 50
    assert len(listed.content) == pytest.approx(Inputs().read_bytes, rel=0.1)

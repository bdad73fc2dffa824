"""`litestar database slow` on a server that counts statements, and on those that do not."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from click.testing import Result

from app.db import migrations, plans, statistics
from app.db.database import Database
from app.settings import Settings
from app.tasks.query import ListQuery
from app.tasks.repository import TaskStore
from app.tasks.schemas import TaskCreate
from app.users.repository import UserStore
from tests.conftest import random_user
from tests.db.test_commands import command
from tests.db.tls import TlsServer, binaries, tls_server

SECRET = "kD7zQ0pXw3rT9uLmB5nV8cYhJ2fGsE4a"
NAMES = ["low", "medium", "high"]
LOADED = "shared_preload_libraries = 'pg_stat_statements'\n"
GRANTS = """
    CREATE ROLE reader LOGIN;
    CREATE ROLE stranger LOGIN;
    GRANT SELECT, INSERT, UPDATE, DELETE ON users, tasks, task_changes TO reader
"""


@pytest.fixture(scope="module")
def server() -> Iterator[TlsServer]:
    programs = binaries()
    if programs is None:
        pytest.skip("needs a PostgreSQL with its extensions, such as Debian's package postgresql")
    with tls_server(programs, LOADED) as server:
        yield server


def url_of(server: TlsServer, user: str, database: str = "postgres") -> str:
    return f"postgresql://{user}@/{database}?host={server.folder}&port={server.port}"


@pytest.fixture(scope="module")
def counting(server: TlsServer) -> Settings:
    """The service's settings on the server, where it has run each of its statements."""
    owner = Settings(database_url=url_of(server, "postgres"), better_auth_secret=SECRET)
    migrations.upgrade(owner)
    for statement in ("CREATE EXTENSION pg_stat_statements", *GRANTS.split(";")):
        asyncio.run(server.execute(statement))
    ours = replace(owner, database_url=url_of(server, "reader"))
    asyncio.run(used(ours, everything))
    return ours


async def used(settings: Settings, use: Callable[[Database], Awaitable[None]]) -> None:
    database = Database(settings)
    try:
        await use(database)
    finally:
        await database.close()


async def everything(database: Database) -> None:
    user_id = random_user()
    tasks = TaskStore(database, priority_names=NAMES, cache_bytes=0)
    users = UserStore(database, priority_names=NAMES)
    number = 0
    for title in ("x", "y", "z"):
        task = await tasks.create(user_id, TaskCreate(title=title).present())
        number = task.id or 0
        await tasks.read(user_id, number)
        await tasks.update(user_id, number, {"title": "changed"})
        await tasks.complete(user_id, number, None)
    await tasks.page(user_id, ListQuery())
    await tasks.page(user_id, ListQuery(sort="title"))
    await users.stats(user_id)
    await tasks.delete(user_id, number)
    await users.erase(user_id)


def printed(settings: Settings, *options: str) -> list[dict[str, Any]]:
    result = command(settings, "slow", "--json", *options)
    assert result.exit_code == 0, result.output
    rows: list[dict[str, Any]] = json.loads(result.stdout)
    return rows


def test_it_prints_our_statements_by_total_time_and_nobody_else_s(counting: Settings) -> None:
    rows = printed(counting)
    assert {row["name"] for row in rows} == {
        "tasks.complete",
        "tasks.create",
        "tasks.delete",
        "tasks.list",
        "tasks.read",
        "tasks.update",
        "users.erase",
        "users.stats",
    }
    assert [row["total_ms"] for row in rows] == sorted((row["total_ms"] for row in rows), reverse=True)
    assert 0 < sum(row["share"] for row in rows) < 1
    [create] = [row for row in rows if row["name"] == "tasks.create"]
    assert (create["calls"], create["rows_per_call"], create["hints"]) == (3, 1, [])
    assert create["mean_ms"] == pytest.approx(create["total_ms"] / 3, abs=0.01)


def test_it_tells_the_shapes_of_a_name_apart(counting: Settings) -> None:
    [together] = [row for row in printed(counting) if row["name"] == "tasks.list"]
    lists = [row for row in printed(counting, "--shapes", "--limit", "1000") if row["name"] == "tasks.list"]
    assert (together["calls"], len(lists)) == (2, 2)
    assert len({row["id"] for row in lists}) == 2
    assert all("/* tasks.list */" in row["sql"] for row in lists)


def test_it_prints_a_table_for_people_with_as_many_lines_as_asked_for(counting: Settings) -> None:
    head, *lines = command(counting, "slow", "--limit", "3").stdout.splitlines()
    assert head.split() == ["statement", "calls", "mean", "ms", "total", "s", "share", "rows/call"]
    assert len(lines) == 3
    assert all(line.split()[0].count(".") == 1 and "%" in line for line in lines)
    shapes = command(counting, "slow", "--shapes").stdout.splitlines()
    assert len(shapes) > len(printed(counting))


def test_every_statement_of_ours_can_be_planned_again(counting: Settings) -> None:
    async def plan(database: Database) -> None:
        async with database.engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            for row in printed_rows:
                async with driver.transaction():
                    await plans.prepare(driver, row["sql"])  # whose failure is a missing hint only
                    await driver.execute("DEALLOCATE explained")

    printed_rows = printed(counting, "--shapes", "--limit", "1000")
    asyncio.run(used(counting, plan))


def test_a_large_table_that_is_read_as_a_whole_a_spill_and_reads_from_disk_are_pointed_out(
    counting: Settings, server: TlsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = "generate_series(1, 20000) AS n"
    fill = f"INSERT INTO tasks (user_id, revision, title) SELECT 'u', n, repeat('x', 100) || n FROM {numbers}"  # noqa: S608 - ours
    for statement in ("INSERT INTO users (id, revision) VALUES ('u', 1)", fill, "ANALYZE tasks"):
        asyncio.run(server.execute(statement))
    sql = "SELECT /* tests.title */ title, json_build_object('a', 1) FROM tasks WHERE title > $1 ORDER BY title DESC"

    async def read(database: Database) -> None:
        async with database.engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            await driver.execute("SET work_mem = '64kB'")
            await driver.fetch(sql, "")

    asyncio.run(used(counting, read))
    monkeypatch.setattr(statistics, "MANY_BLOCKS_READ", 0)
    monkeypatch.setattr(statistics, "LOW_HIT_SHARE", 1.1)
    [hints] = [row["hints"] for row in printed(counting) if row["name"] == "tests.title"]
    table, spill, disk = hints
    assert table == "reads all of public.tasks"
    assert spill.startswith("spilled ")
    assert disk.endswith("of its blocks were not in PostgreSQL's memory")
    assert "reads all of public.tasks; spilled" in command(counting, "slow").stdout


def refused(result: Result, *words: str) -> None:
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    assert len(result.stderr.splitlines()) == 1
    for word in words:
        assert word in result.stderr


def test_it_says_what_to_do_where_the_extension_is_missing(counting: Settings, server: TlsServer) -> None:
    asyncio.run(server.execute("CREATE DATABASE bare"))
    bare = replace(counting, database_url=url_of(server, "reader", "bare"))
    refused(command(bare, "slow"), "CREATE EXTENSION pg_stat_statements", "Neon")


def test_it_says_what_to_do_where_the_role_may_not_read(counting: Settings, server: TlsServer) -> None:
    asyncio.run(server.execute("REVOKE SELECT ON pg_stat_statements FROM PUBLIC"))
    try:
        refused(command(counting, "slow"), "GRANT SELECT ON pg_stat_statements")
    finally:
        asyncio.run(server.execute("GRANT SELECT ON pg_stat_statements TO PUBLIC"))


def test_it_says_what_to_do_where_the_texts_are_hidden(counting: Settings, server: TlsServer) -> None:
    stranger = replace(counting, database_url=url_of(server, "stranger"))
    refused(command(stranger, "slow"), "GRANT pg_read_all_stats")


def test_it_says_so_where_the_database_has_counted_nothing_of_ours(counting: Settings, server: TlsServer) -> None:
    asyncio.run(server.execute("CREATE DATABASE unused"))
    owner = replace(counting, database_url=url_of(server, "postgres", "unused"))

    async def create(database: Database) -> None:
        async with database.engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            await driver.execute("CREATE EXTENSION pg_stat_statements")

    asyncio.run(used(owner, create))
    assert command(owner, "slow").stdout == "No statement of this service has been counted yet.\n"


def test_it_says_so_where_the_server_has_no_such_extension(settings: Settings) -> None:
    refused(command(settings, "slow"), "comes without the extension")


def test_a_database_that_cannot_be_reached_is_one_sentence(settings: Settings) -> None:
    refused(command(replace(settings, database_url="postgresql://u:p@127.0.0.1:1/db"), "slow"), "database")


def test_it_says_what_to_do_where_the_library_is_not_loaded(counting: Settings, server: TlsServer) -> None:
    """The last one here, for the server counts nothing after it."""
    server.restart(shared_preload_libraries="")
    refused(command(counting, "slow"), "shared_preload_libraries", "restart")

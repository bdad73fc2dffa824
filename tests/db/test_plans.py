"""Plans of the application's own statements on a table that is worth an index, with the planner's default settings."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from app.db import migrations
from app.db.database import Database
from app.db.lateral import LateralStatement
from app.db.statement import DIALECT, Statement
from app.settings import Settings
from app.tasks import cursor, listing, purge
from app.tasks.batch.statements import statements as statements_of_batches
from app.tasks.changes.statement import changes
from app.tasks.json import TaskJSON
from app.tasks.query import ListQuery, parse
from app.tasks.rules import PRIORITIES
from app.users.repository import UserStore
from tests.conftest import random_user
from tests.db.plans import Node, generic_plan, nodes, plan, run
from tests.load.growth_seed import BIG, probe_ids, seed
from tests.tasks.shapes import STATEMENTS, queries

TASKS = 100_000
BIG_TASKS = 1_000
LIVE = 50
NEWEST_FIRST = "tasks_user_id_created_at_id_idx"
LATEST_DELETION_FIRST = "tasks_user_id_deleted_at_id_idx"
GENERIC_AND_CUSTOM = pytest.mark.parametrize("generic", [True, False], ids=["generic", "custom"])
KEYS = {"by_id": ("id", "tasks_pkey"), "by_uid": ("uid", "tasks_user_id_uid_idx")}
"""The column that names a task, and the index that finds it."""

KEY = {"tasks": "user_id = ", "users": "id = "}
CHANGES: dict[str, Any] = {
    "title": "Changed",
    "description": None,
    "description_assigned": False,
    "priority": None,
    "tags": None,
    "due_date": None,
    "due_date_assigned": False,
    "completed": None,
    "if_match": None,
    "fingerprint": 1,
}


@pytest.fixture(scope="module")
def seeded(create_database: Callable[[], str]) -> Settings:
    settings = Settings(database_url=create_database(), better_auth_secret=secrets.token_urlsafe(32))
    migrations.upgrade(settings)

    async def fill() -> None:
        connection = await asyncpg.connect(settings.database_url)
        await seed(connection, tasks=TASKS, big=BIG_TASKS)
        await connection.execute("UPDATE tasks SET uid = 'task-' || id WHERE user_id = $1", BIG)
        await connection.execute("VACUUM (ANALYZE) tasks")
        await connection.close()

    asyncio.run(fill())
    return settings


@pytest.fixture
async def connection(seeded: Settings) -> AsyncIterator[asyncpg.Connection]:
    """Its statement cache is off, for the tests run thousands of different ones."""
    connection = await asyncpg.connect(seeded.database_url, statement_cache_size=0)
    yield connection
    await connection.close()


def values(query: ListQuery, user_id: str) -> dict[str, Any]:
    return {**listing.arguments(query), "user_id": user_id, "known": []}


def forms(statement: Statement, arguments: Mapping[str, Any]) -> Iterator[tuple[Statement, Mapping[str, Any]]]:
    """The statement for one request, and for ten."""
    yield statement, arguments
    together = LateralStatement.of(statement)
    yield together, dict(zip(together.parameters, together.arguments_of([arguments] * 10), strict=True))


def steps(top: Node) -> list[tuple[str, str | None]]:
    return [(node["Node Type"], node.get("Index Name")) for node in nodes(top)]


def assert_confined(top: Node) -> None:
    """Every table is reached through an index, by the user's id."""
    for node in nodes(top):
        assert node["Node Type"] != "Seq Scan", node
        if "Index Name" in node:
            table = "users" if node["Index Name"].startswith("users") else "tasks"
            assert KEY[table] in node["Index Cond"], node


def assert_walks(top: Node, query: ListQuery) -> None:
    """The page is read off the index in its order, from the cursor on."""
    assert not [node for node in nodes(top) if "Sort" in node["Node Type"]]
    [scan] = [node for node in nodes(top) if node.get("Relation Name") == "tasks"]
    assert (scan["Node Type"], scan["Index Name"]) == ("Index Scan", NEWEST_FIRST)
    assert ("ROW(created_at, id)" in scan["Index Cond"]) == (query.cursor is not None)


def assert_keeps_to_the_trash(top: Node) -> None:
    """Only the user's tombstones are read; those may be sorted, for nobody has many."""
    assert LATEST_DELETION_FIRST in indexes_of_tasks(top)
    assert indexes_of_tasks(top) <= {LATEST_DELETION_FIRST, "tasks_pkey"}


def indexes_of_tasks(top: Node) -> set[str]:
    return {node["Index Name"] for node in nodes(top) if node.get("Index Name", "").startswith("tasks")}


async def test_without_an_index_that_fits_the_planner_would_read_the_whole_table(
    connection: asyncpg.Connection,
) -> None:
    text = await connection.fetchval("EXPLAIN (FORMAT JSON) SELECT 1 FROM tasks WHERE title = ''")
    assert "Seq Scan" in {node["Node Type"] for node in nodes(json.loads(text)[0]["Plan"])}


async def test_no_generic_plan_of_a_list_reads_the_whole_table(connection: asyncpg.Connection) -> None:
    planned = set()
    for query in queries():
        statement = STATEMENTS.page(query)
        if statement not in planned:
            planned.add(statement)
            top = await generic_plan(connection, statement)
            assert_confined(top)
            if query.trash:
                assert_keeps_to_the_trash(top)
            elif query.sort == "created":
                assert_walks(top, query)


@pytest.mark.parametrize("whose", ["ordinary", "big"])
async def test_no_plan_of_a_list_for_its_own_parameters_reads_the_whole_table(
    connection: asyncpg.Connection, whose: str
) -> None:
    user_id = BIG if whose == "big" else (await probe_ids(connection))[0]
    for query in queries():
        top = await plan(connection, STATEMENTS.page(query), values(query, user_id))
        assert_confined(top)
        if query.sort == "created" and whose == "big" and not query.trash:
            assert_walks(top, query)


def other_statements(seeded: Settings) -> dict[str, Statement]:
    """All but the lists, by name."""
    database = Database(seeded)
    users = UserStore(database, priority_names=PRIORITIES)
    by_key = {f"{by}.{name}": each for by in KEYS for name, each in vars(getattr(STATEMENTS, by)).items()}
    found = {**vars(STATEMENTS), **by_key, **vars(users)}
    return {name: statement for name, statement in found.items() if isinstance(statement, Statement)}


async def test_no_other_statement_reads_the_whole_table(seeded: Settings, connection: asyncpg.Connection) -> None:
    row = await connection.fetchrow("SELECT id, uid FROM tasks WHERE user_id = $1 LIMIT 1", BIG)
    arguments = {**CHANGES, "user_id": BIG, "known": [], "email": None, "name": None}
    statements = other_statements(seeded)
    assert len(statements) == 14
    for name, statement in statements.items():
        column, index = KEYS.get(name.partition(".")[0], (None, None))
        arguments |= {"task_key": column and row[column], "uid": row["uid"]}
        for top in (await generic_plan(connection, statement), await plan(connection, statement, arguments)):
            assert_confined(top)
            if name == "create_once":
                assert {node["Index Name"] for node in nodes(top) if "Index Name" in node} == {KEYS["by_uid"][1]}
            if index is not None:
                used = {node["Index Name"] for node in nodes(top) if "Index Name" in node}
                assert index in used, name
                assert used <= {index, "users_pkey"}, name


@GENERIC_AND_CUSTOM
@pytest.mark.parametrize("named_by", ["ids", "uids"])
async def test_a_batch_touches_the_tasks_that_it_names_and_no_others(
    connection: asyncpg.Connection, named_by: str, generic: bool
) -> None:
    """Of a user with very many tasks; and each is found through the index of its name."""
    batch = statements_of_batches(PRIORITIES)
    rows = await connection.fetch("SELECT id, uid FROM tasks WHERE user_id = $1 LIMIT 60", BIG)
    names = {"ids": [row["id"] for row in rows], "uids": [row["uid"] for row in rows]}
    values: dict[str, Any] = {"user_id": BIG, "ids": [], "uids": [], named_by: names[named_by]}
    top = await run(connection, batch.read, values, generic=generic)
    assert_confined(top)
    assert_touches(top, len(rows))
    given = [{"id": row["id"], "title": "x", "priority": 1, "tags": [], "completed": False} for row in rows]
    new = [{"uid": f"of-a-batch-{n}", "title": "x", "priority": 1, "tags": [], "completed": False} for n in range(40)]
    written = [{**row, "revision": n, "deleted": False} for n, row in enumerate([*given, *new], start=2**40)]
    values = {"user_id": BIG, "ids": names["ids"], "rows": json.dumps(written), "revision": 2**40 + 99, "created": 40}
    transaction = connection.transaction()
    await transaction.start()
    top = await run(connection, batch.write, values, generic=generic)
    await transaction.rollback()
    assert_confined(top)
    assert_touches(top, len(rows))


def assert_touches(top: Node, most: int) -> None:
    """No more rows of tasks are read than that, not even to be thrown away."""
    scans = [node for node in nodes(top) if node.get("Relation Name") == "tasks" and "Scan" in node["Node Type"]]
    assert scans
    read = sum(node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) for node in scans)
    assert read == most


async def test_each_of_several_requests_is_planned_like_one_by_itself(
    seeded: Settings, connection: asyncpg.Connection
) -> None:
    """One after the other, for whichever values, and with the same plan in either mode."""
    row = await connection.fetchrow("SELECT id, uid FROM tasks WHERE user_id = $1 LIMIT 1", BIG)
    own = {"user_id": BIG, "known": [1], "email": None, "name": None}
    reads = {
        statement: {**own, "task_key": row["uid" if name.startswith("by_uid") else "id"]}
        for name, statement in other_statements(seeded).items()
        if statement.varying
    }
    lists = {STATEMENTS.page(query): {**values(query, BIG), "known": [1]} for query in queries()}
    assert len(reads) == 4
    for statement, arguments in {**reads, **dict([*lists.items()][::7])}.items():
        (_, _), (together, of_ten) = forms(statement, arguments)
        top = await generic_plan(connection, together)
        assert_confined(top)
        custom = await plan(connection, together, of_ten)
        assert (steps(top), top["Total Cost"]) == (steps(custom), custom["Total Cost"]), together.sql
        requests, part = top["Plans"]
        assert top["Node Type"] == "Nested Loop", together.sql
        assert steps(requests) == [("Nested Loop", None), ("Result", None), ("Function Scan", None)]
        assert steps(part) == steps(await generic_plan(connection, statement)), together.sql


async def test_of_several_lists_those_that_the_clients_hold_never_touch_the_tasks(
    connection: asyncpg.Connection,
) -> None:
    revision = await connection.fetchval("SELECT revision FROM users WHERE id = $1", BIG)
    query = parse(b"limit=5")
    together = LateralStatement.of(STATEMENTS.page(query))
    requests = [{**values(query, BIG), "known": [revision - number % 2]} for number in range(10)]
    arguments = dict(zip(together.parameters, together.arguments_of(requests), strict=True))
    top = await run(connection, together, arguments, generic=True)
    assert scan_of_tasks(top)["Actual Loops"] == 5


async def middle_of_the_list(connection: asyncpg.Connection, user_id: str) -> str:
    place = await connection.fetchval(
        """SELECT json_build_array(created_at, id)::text FROM tasks WHERE user_id = $1 AND deleted_at IS NULL
           ORDER BY created_at DESC, id DESC OFFSET $2""",
        user_id,
        BIG_TASKS // 2,
    )
    return cursor.encode("created", "desc", place)


def scan_of_tasks(top: Node) -> Node:
    [scan] = [node for node in nodes(top) if node.get("Relation Name") == "tasks"]
    return scan


@GENERIC_AND_CUSTOM
@pytest.mark.parametrize(
    ("filters", "most"),
    [("", 6), ("&status=pending", 60), ("&tag=home", 150), ("&tags=home,work", 150), ("&search=milk", 150)],
)
async def test_a_deep_page_reads_what_it_shows_and_not_what_it_skips(
    connection: asyncpg.Connection, filters: str, most: int, generic: bool
) -> None:
    place = await middle_of_the_list(connection, BIG)
    for page in (f"limit=5{filters}", f"limit=5{filters}&cursor={place}"):
        query = parse(page.encode())
        for statement, arguments in forms(STATEMENTS.page(query), values(query, BIG)):
            top = await run(connection, statement, arguments, generic=generic)
            assert 6 <= scan_of_tasks(top)["Actual Rows"] <= most


@GENERIC_AND_CUSTOM
@pytest.mark.parametrize("page", ["", "status=pending", "sort=title", "sort=updated"])
async def test_a_list_reads_no_tombstones(connection: asyncpg.Connection, page: str, generic: bool) -> None:
    user_id = await user_with_tombstones(connection)
    query = parse(page.encode())
    for statement, arguments in forms(STATEMENTS.page(query), values(query, user_id)):
        top = await run(connection, statement, arguments, generic=generic)
        assert scan_of_tasks(top)["Actual Rows"] == LIVE
        assert rows_thrown_away(top) == 0


@GENERIC_AND_CUSTOM
@pytest.mark.parametrize("page", ["", "&search=x", "&sort=title", "&sort=created", "&sort=updated"])
async def test_the_trash_reads_nothing_else(connection: asyncpg.Connection, page: str, generic: bool) -> None:
    user_id = await user_with_tombstones(connection, live=1000 - LIVE)
    query = parse(f"status=deleted{page}".encode())
    for statement, arguments in forms(STATEMENTS.page(query), values(query, user_id)):
        top = await run(connection, statement, arguments, generic=generic)
        assert indexes_of_tasks(top) == {LATEST_DELETION_FIRST}
        assert scan_of_tasks(top)["Actual Rows"] == LIVE
        assert rows_thrown_away(top) == 0


async def test_a_removal_of_tombstones_reads_what_it_removes(connection: asyncpg.Connection) -> None:
    """And the users who have some are found by them, also where nobody else does."""
    user_id = await user_with_tombstones(connection, live=900)
    moment = datetime.now(UTC) + timedelta(minutes=1)
    statements = {
        "purge": (purge.PURGE, {"user_id": user_id, "before": moment, "limit": 10}),
        "count": (purge.OF_USER, {"user_id": user_id, "before": moment}),
        "users": (purge.OF_NEXT_USERS, {"after": "", "before": moment, "limit": 500}),
    }
    for name, (core, arguments) in statements.items():
        compiled = core.compile(dialect=DIALECT)
        values = [arguments[each] for each in compiled.positiontup or ()]
        transaction = connection.transaction()
        await transaction.start()
        text = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {compiled}", *values)
        await transaction.rollback()
        top = json.loads(text)[0]["Plan"]
        assert "Seq Scan" not in {node["Node Type"] for node in nodes(top)}, name
        scans = [node for node in nodes(top) if node.get("Index Name", "").startswith("tasks")]
        assert LATEST_DELETION_FIRST in {node["Index Name"] for node in scans}
        read = sum(node["Actual Rows"] * node["Actual Loops"] for node in scans)
        assert read == {"purge": 10 + 10, "count": 100}.get(name, read)  # found, then removed


@GENERIC_AND_CUSTOM
@pytest.mark.parametrize("name", ["_profile", "_stats"])
async def test_numbers_count_no_tombstones(
    seeded: Settings, connection: asyncpg.Connection, name: str, generic: bool
) -> None:
    one = {"user_id": await user_with_tombstones(connection), "email": None, "name": None}
    for statement, arguments in forms(other_statements(seeded)[name], one):
        top = await run(connection, statement, arguments, generic=generic)
        assert scan_of_tasks(top)["Actual Rows"] == LIVE
        assert rows_thrown_away(top) == 0


async def user_with_tombstones(connection: asyncpg.Connection, live: int = LIVE) -> str:
    user_id = random_user()
    await connection.execute("INSERT INTO users (id) VALUES ($1)", user_id)
    await connection.execute(
        """INSERT INTO tasks (user_id, title, revision, deleted_at)
           SELECT $1, 'x', n, CASE WHEN n > $2::int THEN now() - n * interval '1 second' END
           FROM generate_series(1, 1000) AS n""",
        user_id,
        live,
    )
    return user_id


def rows_thrown_away(top: Node) -> int:
    return sum(node.get("Rows Removed by Filter", 0) for node in nodes(top) if node.get("Relation Name") == "tasks")


@pytest.mark.parametrize("name", ["update", "complete"])
async def test_a_write_to_a_table_without_gaps_stays_on_its_page(connection: asyncpg.Connection, name: str) -> None:
    """What PostgreSQL calls HOT: no index is written, and the page cleans itself."""
    rows = await connection.fetch(
        """SELECT DISTINCT ON (user_id) user_id, id AS task_key FROM tasks WHERE deleted_at IS NULL
           ORDER BY user_id, md5(id::text) LIMIT 500"""
    )
    statement = getattr(STATEMENTS.by_id, name)
    transaction = connection.transaction()
    await transaction.start()
    for row in rows:
        await connection.execute(statement.sql, *statement.arguments({**CHANGES, **row}))
    updated = await connection.fetch(
        "SELECT relname, n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname IN ('tasks', 'users')"
    )
    await transaction.rollback()
    assert {row["relname"]: row["n_tup_upd"] for row in updated} == {"tasks": 500, "users": 500}
    for row in updated:
        assert row["n_tup_hot_upd"] >= 490, row


DELTA = changes(TaskJSON(PRIORITIES))


def since(revision: int) -> dict[str, Any]:
    return {"user_id": BIG, "since": revision, "snapshot": 0, "limit": 50, "known": []}


def loops(top: Node, table: str) -> list[int]:
    """How often each scan of a table ran."""
    return [node["Actual Loops"] for node in nodes(top) if node.get("Relation Name") == table]


async def test_changes_are_confined_to_the_user_however_they_are_found(connection: asyncpg.Connection) -> None:
    for statement, arguments in forms(DELTA, since(1)):
        for top in (await generic_plan(connection, statement), await plan(connection, statement, arguments)):
            assert_confined(top)


@GENERIC_AND_CUSTOM
async def test_that_nothing_changed_is_read_off_the_row_of_the_user(
    connection: asyncpg.Connection, generic: bool
) -> None:
    revision = await connection.fetchval("SELECT revision FROM users WHERE id = $1", BIG)
    top = await run(connection, DELTA, since(revision), generic=generic)
    assert (loops(top, "users"), set(loops(top, "tasks")), set(loops(top, "task_changes"))) == ([1], {0}, {0})


@GENERIC_AND_CUSTOM
async def test_changes_in_the_log_are_read_one_by_one_and_no_other_task_is(
    connection: asyncpg.Connection, generic: bool
) -> None:
    async with rolled_back(connection):
        revision = await connection.fetchval(
            "UPDATE users SET tasks = 6000, revision = revision + 3 WHERE id = $1 RETURNING revision", BIG
        )
        await connection.execute(
            """WITH written AS (
                   UPDATE tasks SET revision = $2::bigint - 3 + place FROM (
                       SELECT id, row_number() OVER () AS place FROM (
                           SELECT id FROM tasks WHERE user_id = $1 AND deleted_at IS NULL LIMIT 3
                       ) AS three
                   ) AS chosen
                   WHERE tasks.user_id = $1 AND tasks.id = chosen.id RETURNING tasks.id, tasks.revision
               )
               INSERT INTO task_changes SELECT $1, revision % 10000, revision, id FROM written""",
            BIG,
            revision,
        )
        top = await run(connection, DELTA, since(revision - 3), generic=generic)
    assert sorted(loops(top, "tasks")) == [0, 3]
    assert sorted(loops(top, "task_changes")) == [3, 3]


@asynccontextmanager
async def rolled_back(connection: asyncpg.Connection) -> AsyncIterator[None]:
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()

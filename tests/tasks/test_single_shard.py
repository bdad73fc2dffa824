"""Every statement names the user for every table that it reads or writes, so tables sharded by user need one shard.

A router planner, Citus's for one, does not draw that conclusion from joins in every form (docs/scaling.md). A statement
for several requests names the request's user in the same places.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from app.db.database import Database
from app.db.lateral import LateralStatement
from app.db.statement import DIALECT, Statement
from app.events.polling import REVISIONS
from app.settings import Settings
from app.tasks import purge
from app.tasks.batch.statements import statements as statements_of_batches
from app.tasks.rules import PRIORITIES
from app.users.repository import UserStore
from tests.conftest import random_user
from tests.tasks.shapes import STATEMENTS, queries

KEYS = {"task_changes": "user_id", "tasks": "user_id", "users": "id"}


def blocks(sql: str) -> Iterator[str]:
    """The text of each query in a statement, without what stands in parentheses in it."""
    found, open_ = [""], [0]
    for part in re.split(r"([()])", sql):
        if part == "(":
            open_.append(len(found))
            found.append("")
        elif part == ")":
            open_.pop()
        else:
            found[open_[-1]] += part
    return iter(found)


def unconfined(sql: str, user_id: str) -> list[str]:
    """The queries in a statement that touch a table without naming the user, whose parameter is `user_id`."""
    parameter = re.escape(user_id) + r"(?!\d)"
    read = [
        block
        for block in blocks(sql)
        for table in re.findall(r"\b(?:FROM|JOIN|UPDATE|USING)\s+(task_changes|tasks|users)\b", block)
        if not re.search(rf"\b{table}\.{KEYS[table]} = {parameter}", block)
    ]
    inserted = [
        f"INSERT INTO {table}"
        for table, rest in re.findall(r"INSERT INTO (\w+) (.*)", sql, flags=re.DOTALL)
        if not re.match(rf"\({KEYS[table]}(?:, [^)]*)?\)\s+(?:VALUES \(|SELECT ){parameter}", rest)
    ]
    return read + inserted


def statements_of(store: object) -> Iterator[Statement]:
    return (value for value in vars(store).values() if isinstance(value, Statement))


@pytest.fixture(scope="module")
def statements(settings: Settings) -> list[Statement]:
    batch = statements_of_batches(PRIORITIES)
    database = Database(settings)
    users = UserStore(database, priority_names=PRIORITIES)
    of_tasks = (STATEMENTS, STATEMENTS.by_id, STATEMENTS.by_uid)
    return [
        batch.read,
        batch.write,
        *chain(*map(statements_of, of_tasks)),
        *statements_of(users),
        *{STATEMENTS.page(query) for query in queries()},
    ]


def test_every_statement_names_the_user_for_every_table(statements: list[Statement]) -> None:
    checked = set()
    for statement in statements:
        user_id = f"${statement.parameters.index('user_id') + 1}"
        assert not unconfined(statement.sql, user_id), statement.sql
        checked |= {table for table in KEYS if re.search(rf"\b{table}\b", statement.sql)}
    assert checked == {"task_changes", "tasks", "users"}


def test_every_statement_for_several_requests_names_the_user_of_each(statements: list[Statement]) -> None:
    reads = [statement for statement in statements if statement.varying]
    assert len(reads) > 1000
    for statement in (*reads[:3], *reads[3::7]):  # each has the same made of it; all would take long
        together = LateralStatement.of(statement)
        users = f"${together.parameters.index('user_id') + 1}"
        source, _, part = together.sql.partition(" JOIN LATERAL ")
        assert re.search(
            rf"FROM \(SELECT {re.escape(users)}::TEXT\[\] AS user_id\b[^()]*\) AS q"
            r" JOIN unnest\(q\.user_id\b[^()]*\) WITH ORDINALITY AS p\(user_id\b[^()]*, n\) ON true$",
            source,
        ), source
        assert not unconfined(part, "p.user_id"), part
        assert "$" not in part, part


def test_the_one_for_all_who_have_a_stream_reads_a_number_of_each_and_is_the_only_one_for_several_users() -> None:
    assert REVISIONS.sql.endswith("*/ users.id, users.revision FROM users WHERE users.id = ANY ($1::text[])")
    assert (REVISIONS.parameters, REVISIONS.writes) == (("connected",), False)
    of_nobody = {
        value.name
        for name in [name for name in sys.modules if name.startswith("app.")]
        for value in vars(sys.modules[name]).values()
        if isinstance(value, Statement)
        and "user_id" not in value.parameters
        and any(re.search(rf"\b{table}\b", value.sql) for table in KEYS)
    }
    assert of_nobody == {REVISIONS.name}


def test_so_do_those_that_remove_a_users_tombstones() -> None:
    for statement in (purge.PURGE, purge.OF_USER):
        compiled = statement.compile(dialect=DIALECT)
        user_id = f"${(compiled.positiontup or []).index('user_id') + 1}"
        assert not unconfined(str(compiled), user_id), str(compiled)


def test_so_does_the_lock_of_a_batch_with_an_id_and_nothing_else() -> None:
    lock = statements_of_batches(PRIORITIES).lock
    assert not unconfined(lock.text("someone"), "'someone'")
    for text in ("", "o'neill", "a; b", "a" * 129, "a\\", "$1", "é"):
        with pytest.raises(ValueError, match="not the id of a user"):
            lock.text(text)


async def test_so_do_those_of_an_erasure(settings: Settings) -> None:
    database = Database(replace(settings, database_pool_size=1))
    users = UserStore(database, priority_names=PRIORITIES)
    sent: list[str] = []

    @sa.event.listens_for(database.engine.sync_engine, "before_cursor_execute")
    def remember(_connection: Any, _cursor: Any, sql: str, *_rest: Any) -> None:
        sent.append(sql)

    await users.erase(random_user())
    await database.engine.dispose()
    assert len(sent) == 3
    for sql in sent:
        assert not unconfined(sql, "$1"), sql


@pytest.mark.parametrize(
    "statement",
    [
        sa.select(sa.table("tasks", sa.column("id"))),
        sa.text("SELECT 1 FROM users JOIN tasks ON tasks.user_id = users.id WHERE users.id = $1"),
        sa.text("UPDATE tasks SET title = '' WHERE EXISTS (SELECT 1 FROM users WHERE users.id = $1)"),
        sa.text("SELECT 1 FROM tasks WHERE tasks.user_id = $12"),
        sa.text("INSERT INTO tasks (title, user_id) SELECT $1, $2"),
    ],
    ids=["no filter", "by a join only", "filter on another table", "another parameter", "key not first"],
)
def test_the_check_finds_what_it_is_for(statement: sa.Executable) -> None:
    assert unconfined(str(statement.compile(dialect=postgresql.dialect())), "$1")  # type: ignore[attr-defined,no-untyped-call]  # SQLAlchemy types them in part

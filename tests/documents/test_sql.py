"""SQL of the documentation runs, and its tables are those that the migrations build."""

import re

import asyncpg
import httpx

from app.db.database import Database
from app.settings import Settings
from app.tasks.repository import TaskRepository
from tests.conftest import random_user
from tests.documents.blocks import blocks, commands, the_block


async def test_tables_of_the_data_model_are_those_that_the_migrations_build(connection: asyncpg.Connection) -> None:
    text = re.sub(r" *--.*", "", the_block("docs/data-model.md", "sql", "fillfactor"))
    documented = f"CREATE SCHEMA documented; SET search_path = documented; {statements(text)}"
    transaction = connection.transaction()
    await transaction.start()
    built = await described(connection, "public")
    await connection.execute(documented)
    assert await described(connection, "documented") == built
    await transaction.rollback()


def statements(text: str) -> str:
    """The data model leaves out what it says three times."""
    *tables, indexes = text.strip().split("\n\n")
    return ";".join(f"CREATE {each}" for each in [*(f"TABLE {table}" for table in tables), *indexes.split("\n")])


async def described(connection: asyncpg.Connection, schema: str) -> set[tuple[object, ...]]:
    """Columns, constraints, indexes and storage of our tables."""
    rows = await connection.fetch(
        """
        SELECT relname::text, attname::text, format_type(atttypid, atttypmod), attnotnull, attidentity::text,
               pg_get_expr(adbin, adrelid), reloptions
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE relnamespace = $1::regnamespace AND relname IN ('users', 'tasks', 'task_changes')
        UNION ALL
        SELECT tablename::text, regexp_replace(indexdef, '(INDEX )\\S+( ON )\\S+', '\\1\\2'),
               NULL, NULL, NULL, NULL, NULL
        FROM pg_indexes WHERE schemaname = $2 AND tablename IN ('users', 'tasks', 'task_changes')
        """,
        schema,
        schema,
    )
    return {tuple(tuple(value) if isinstance(value, list) else value for value in row) for row in rows}


async def test_setting_for_a_role_behind_a_pooler_is_one_of_postgresql(connection: asyncpg.Connection) -> None:
    statement = the_block("docs/scaling.md", "sql", "plan_cache_mode")
    database = await connection.fetchval("SELECT current_database()")
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(statement.replace("ROLE app", "ROLE postgres").replace("neondb", database))
    assert await connection.fetchval(
        "SELECT count(*) FROM pg_db_role_setting WHERE setconfig::text ~ 'plan_cache_mode'"
    )
    await transaction.rollback()


async def test_revisions_that_were_given_out_twice_are_lifted_by_the_documented_statement(
    client: httpx.AsyncClient, user_id: str, connection: asyncpg.Connection
) -> None:
    task = (await client.post("/api/me/tasks", json={"title": "In between"})).json()
    await connection.execute("UPDATE users SET revision = revision + 100 WHERE id = $1", user_id)
    statement = the_block("docs/data-model.md", "sql", ":restored").replace(":restored", "$1")
    moment = await connection.fetchval("SELECT updated_at FROM tasks WHERE id = $1", task["id"])
    await connection.execute(statement.rstrip().rstrip(";") + " AND users.id = $2", moment, user_id)
    assert (await client.get(f"/api/me/tasks/{task['id']}")).json()["revision"] == task["revision"] + 100


async def test_the_job_for_pg_cron_removes_what_the_command_removes(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    """The extension itself is not there: its job is run as it would do."""
    [job] = re.findall(
        r"\$cron\$(.*)\$cron\$", the_block("docs/operations.md", "sql", "cron.schedule"), flags=re.DOTALL
    )
    users = [random_user() for _ in range(3)]
    await connection.execute(
        "INSERT INTO users (id, revision, floor, tasks) SELECT id, 13000, 7, 8000 FROM unnest($1::text[]) AS id", users
    )
    await connection.execute(
        """INSERT INTO tasks (user_id, title, revision, deleted_at)
           SELECT id, 'x', n, CASE WHEN n % 16 > 0 THEN now() - interval '200 days' + n * interval '2 hours' END
           FROM unnest($1::text[]) AS id, generate_series(1, 1600) AS n""",
        users,
    )
    database = Database(settings)
    before = await connection.fetchval("SELECT now() - interval '90 days'")
    for _ in range(3):
        async with database.transaction() as session:
            await TaskRepository(session=session).purge(users[0], before, 1000)
    await database.close()
    await connection.execute(job)
    found = await connection.fetch(
        """SELECT floor, tasks, revision > 13000 AS is_raised,
                  (SELECT array_agg(task_changes ORDER BY revision) FROM task_changes WHERE user_id = users.id)
                    = (SELECT array_agg((users.id, number % 10000, number, 0)::task_changes ORDER BY number)
                       FROM generate_series(13001, users.revision) AS number) AS is_logged,
                  (SELECT array_agg(revision ORDER BY revision) FROM tasks WHERE user_id = users.id) AS left_over
           FROM users WHERE id = ANY ($1)""",
        users,
    )
    assert found[0] == found[1] == found[2]
    assert found[0]["is_raised"]
    assert found[0]["is_logged"]
    assert found[0]["tasks"] == 6400 + len(found[0]["left_over"])
    assert 1310 < found[0]["floor"] < 1330


def test_the_line_for_cron_is_a_schedule_and_a_command() -> None:
    [line] = [block.text.strip() for block in blocks("") if block.text.startswith("17 3 * * *")]
    *_, command = line.split("; ")
    assert tuple(command.split()) in {words for block in blocks("bash") for words in commands(block)}

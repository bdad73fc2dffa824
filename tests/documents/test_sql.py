"""SQL of the documentation runs, and its tables are those that the migrations build."""

import re

import asyncpg
import httpx

from tests.documents.blocks import the_block


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

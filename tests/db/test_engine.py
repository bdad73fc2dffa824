from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import asyncpg
import pytest
import sqlalchemy as sa

from app.db.database import Database
from app.db.statement import Preparation, Statement
from app.db.url import parse
from app.settings import Settings, StatementMode
from tests.conftest import client_of, random_user, running
from tests.wire import relayed

DIRECT = "postgresql://me:secret@ep-cool-night-a1b2c3.eu-central-1.aws.neon.tech/tasks"
POOLED = DIRECT.replace(".eu", "-pooler.eu")


@asynccontextmanager
async def backends(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(settings.database_url, server_settings={"application_name": "watcher"})
    yield connection
    await connection.close()


@pytest.mark.parametrize(
    ("url", "mode", "named"),
    [
        (DIRECT, "auto", True),
        (POOLED, "auto", False),
        (POOLED, "named", True),
        (DIRECT, "unnamed", False),
    ],
)
def test_statements_are_named_unless_a_pooler_or_the_setting_forbids(
    url: str, mode: StatementMode, named: bool
) -> None:
    assert Preparation(mode, pooled=parse(url, connect_timeout=4).pooled).named is named


@pytest.mark.parametrize("mode", ["named", "unnamed"])
async def test_statements_work_either_way(settings: Settings, mode: StatementMode) -> None:
    either = replace(settings, database_statements=mode)
    async with running(either) as app, client_of(app, either, random_user()) as client:
        for _ in range(3):
            assert (await client.get("/api/me/tasks?limit=1")).status_code == 200


async def test_connections_that_ended_while_idle_are_replaced_unnoticed(settings: Settings) -> None:
    named = replace(
        settings, database_url=f"{settings.database_url}&application_name={random_user()}", list_cache_bytes=0
    )
    name = named.database_url.rpartition("=")[2]
    async with running(named) as app, client_of(app, named, random_user()) as client, backends(settings) as watcher:
        assert (await client.post("/api/me/tasks", json={"title": "kept"})).status_code == 201
        ended = await watcher.fetch(
            "SELECT pg_terminate_backend(pid, 5000) AS ended FROM pg_stat_activity WHERE application_name = $1", name
        )
        assert [row["ended"] for row in ended] == [True]
        answer = await client.get("/api/me/tasks")
        assert answer.status_code == 200
        assert [task["title"] for task in answer.json()] == ["kept"]


@pytest.mark.parametrize(("parameter", "mode"), [("", "force_generic_plan"), ("&pgbouncer=true", "auto")])
async def test_direct_connections_plan_a_statement_once_and_pooled_ones_are_left_alone(
    settings: Settings, parameter: str, mode: str
) -> None:
    database = Database(replace(settings, database_url=settings.database_url + parameter))
    assert await database.fetch(Statement("a.read", "SHOW plan_cache_mode", ()), {}) == (mode,)
    await database.close()


async def test_what_is_prepared_on_a_connection_outlasts_a_transaction(settings: Settings) -> None:
    async with relayed(settings.database_url) as (relay, url):
        database = Database(replace(settings, database_url=url, database_pool_size=1))
        statement = Statement("a.read", "SELECT $1::text", ("user_id",))
        for _ in range(2):
            await database.fetch(statement, {"user_id": "u"})
            async with database.transaction() as session:
                await session.execute(sa.text("SELECT 1"))
        relay.reset()
        await database.fetch(statement, {"user_id": "u"})
        assert (relay.round_trips, relay.connections) == (1, 0)
        await database.close()


async def test_nothing_is_kept_of_what_was_prepared_on_a_connection_that_is_gone(settings: Settings) -> None:
    async with relayed(settings.database_url) as (relay, url):
        database = Database(replace(settings, database_url=url, database_pool_size=1))
        statement = Statement("a.read", "SELECT $1::text", ("user_id",))
        await database.fetch(statement, {"user_id": "u"})
        with await database.connections.lease() as lease:
            before = lease.prepared
        relay.cut()
        assert await database.fetch(statement, {"user_id": "u"}) == ("u",)
        with await database.connections.lease() as lease:
            assert lease.prepared is not before
            assert [*lease.prepared.statements] == [statement.prepared_name]
        await database.close()


@pytest.mark.parametrize("lost", [True, False])
async def test_a_lost_connection_is_no_changed_schema(settings: Settings, lost: bool) -> None:
    """Both may be an InternalClientError of asyncpg."""
    database = Database(settings)
    preparation = Preparation("named", pooled=False)
    with await database.connections.lease() as lease:
        await preparation.prepare(lease, Statement("a.read", "SELECT $1::text", ("user_id",)))
        if lost:
            lease.driver.terminate()
        outdated = preparation.learn_from(asyncpg.InternalClientError("cannot switch to state 12"), lease)
    assert (outdated, preparation.generation) == ((False, 0) if lost else (True, 1))
    await database.close()

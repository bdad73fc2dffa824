import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import httpx
import pytest
import sqlalchemy as sa
from advanced_alchemy.exceptions import RepositoryError
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from app.db import migrations
from app.db.database import Database
from app.db.statement import USER_ID, Statement
from app.errors import problem_of
from app.models import Task, User
from app.settings import Settings
from tests.conftest import client_of, random_user, running
from tests.wire import Relay, relayed

TASKS = "/api/me/tasks"
ROUTES: list[tuple[str, str, Any]] = [
    ("GET", TASKS, None),
    ("POST", TASKS, {"title": "x"}),
    ("GET", f"{TASKS}/1", None),
    ("PATCH", f"{TASKS}/1", {"title": "x"}),
    ("PATCH", f"{TASKS}/1/complete", None),
    ("DELETE", f"{TASKS}/1", None),
    ("GET", "/api/me", None),
    ("GET", "/api/me/stats", None),
    ("DELETE", "/api/me", None),
    ("POST", f"{TASKS}/batch", {"operations": [{"op": "delete", "id": 1}]}),
]


def assert_unavailable(response: httpx.Response, code: str = "database_unavailable") -> None:
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert response.json()["code"] == code


@asynccontextmanager
async def client_on(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with running(settings) as app, client_of(app, settings, random_user()) as client:
        yield client


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@127.0.0.1:1/db",
        "postgresql://u:p@does-not-exist.invalid/db",
        "postgresql://u@/db?host=/nowhere",
    ],
)
async def test_a_database_that_cannot_be_reached_is_503_on_every_route(settings: Settings, url: str) -> None:
    brief = replace(settings, database_url=url, database_timeout=0.2, database_cold_start_timeout=0.2)
    async with client_on(brief) as client:
        for method, path, body in ROUTES:
            assert_unavailable(await client.request(method, path, json=body))
        assert (await client.get("/health")).status_code == 200


async def test_the_log_names_the_failure_behind_a_timeout(settings: Settings) -> None:
    brief = replace(settings, database_url="postgresql://u:p@127.0.0.1:1/db", database_cold_start_timeout=0.2)
    async with client_on(replace(brief, database_timeout=0.2)) as client:
        with capture_logs() as logs:
            assert_unavailable(await client.get(TASKS))
    [line] = [entry for entry in logs if entry["event"] == "database unavailable"]
    assert line["errors"][0] == "TimeoutError"
    assert line["errors"][-1] == "ConnectionRefusedError"


async def test_wrong_credentials_or_a_missing_database_are_503(settings: Settings) -> None:
    base, _, query = settings.database_url.partition("?")
    for url in (f"{base}nope?{query}", settings.database_url.replace("postgres:@", "nobody:x@")):
        async with client_on(replace(settings, database_url=url)) as client:
            assert_unavailable(await client.get(TASKS))


@asynccontextmanager
async def through_relay(settings: Settings, **changes: Any) -> AsyncIterator[tuple[Relay, httpx.AsyncClient]]:
    async with (
        relayed(settings.database_url) as (relay, url),
        client_on(replace(settings, database_url=url, **changes)) as client,
    ):
        yield relay, client


async def test_connections_that_died_while_idle_cost_no_request(settings: Settings) -> None:
    async with through_relay(settings) as (relay, client):
        for _ in range(3):
            answers = await asyncio.gather(*(client.post(TASKS, json={"title": "x"}) for _ in range(5)))
            assert {answer.status_code for answer in answers} == {201}
            relay.cut()
            await asyncio.sleep(0.05)
        assert len((await client.get(TASKS)).json()) == 15


async def test_a_read_whose_connection_is_lost_is_asked_again(settings: Settings) -> None:
    async with through_relay(settings) as (relay, client):
        task_id = (await client.post(TASKS, json={"title": "kept"})).json()["id"]
        for path in (TASKS, f"{TASKS}/{task_id}", "/api/me", "/api/me/stats"):
            await client.get(path)
            answer = await cut_off(relay, client.get(path))
            assert answer.status_code == 200
            assert "kept" in answer.text or '"total" : 1' in answer.text


async def test_a_write_whose_connection_is_lost_says_that_nobody_knows_and_is_never_repeated(
    settings: Settings,
) -> None:
    async with through_relay(settings) as (relay, client):
        task_id = (await client.post(TASKS, json={"title": "first"})).json()["id"]
        for method, path, body in (
            ("POST", TASKS, {"title": "x"}),
            ("PATCH", f"{TASKS}/{task_id}", {"title": "y"}),
            ("PATCH", f"{TASKS}/{task_id}/complete", None),
            ("DELETE", f"{TASKS}/{task_id}", None),
        ):
            await client.request(method, path, json=body, headers={"If-Match": '"1"'})  # prepares its statement
            statements = relay.statements
            assert_unavailable(await cut_off(relay, client.request(method, path, json=body)), "outcome_unknown")
            assert relay.statements == statements
        titles = [task["title"] for task in (await client.get(TASKS)).json()]
        assert titles == ["x", "first"]  # that x was prepared with


async def test_a_create_with_a_key_whose_connection_is_lost_is_sent_again(settings: Settings) -> None:
    """Whether the first one took effect, and only its answer was lost, or not."""
    async with through_relay(settings) as (relay, client):
        for took_effect in (False, True):
            uid = f"{random_user()}-{took_effect}"
            await client.post(TASKS, json={"title": "x", "uid": "prepares-its-statement"})
            creating = client.post(TASKS, json={"title": "once", "uid": uid})
            if took_effect:
                answer = await lose_answer(relay, creating, settings, uid)
            else:
                answer = await cut_off(relay, creating)
            assert answer.status_code == 201
            assert ("idempotent-replayed" in answer.headers) == took_effect
            assert (await client.get(f"{TASKS}/{uid}")).json() == answer.json()
        assert [task["title"] for task in (await client.get(TASKS)).json()] == ["once", "once", "x"]


async def test_a_create_with_a_key_says_that_nobody_knows_if_no_answer_comes_at_all(settings: Settings) -> None:
    async with through_relay(settings, database_timeout=2) as (relay, client):
        await client.post(TASKS, json={"title": "x", "uid": "prepares-its-statement"})
        relay.refusing = True
        body = {"title": "once", "uid": random_user()}
        creating = client.post(TASKS, json=body)
        assert_unavailable(await lose_answer(relay, creating, settings, body["uid"]), "outcome_unknown")
        relay.refusing = False
        again = await client.post(TASKS, json=body)
        assert again.headers["idempotent-replayed"] == "true"
        silent = {"title": "late", "uid": "in-silence"}
        relay.flowing.clear()
        assert_unavailable(await client.post(TASKS, json=silent), "outcome_unknown")
        relay.flowing.set()
        assert (await client.post(TASKS, json=silent)).status_code == 201
        assert [task["title"] for task in (await client.get(TASKS)).json()] == ["late", "once", "x"]


async def lose_answer(
    relay: Relay, request: Coroutine[None, None, httpx.Response], settings: Settings, uid: str
) -> httpx.Response:
    """Cut every connection once the database has done what it was asked, and before it has said so."""
    relay.answering.clear()
    waiting = asyncio.create_task(request)
    connection = await asyncpg.connect(settings.database_url)
    async with asyncio.timeout(30):
        while not await connection.fetchval("SELECT EXISTS (SELECT 1 FROM tasks WHERE uid = $1)", uid):
            await asyncio.sleep(0.001)
    await connection.close()
    relay.cut()
    relay.answering.set()
    return await waiting


async def test_a_write_that_gets_no_answer_in_time_says_that_nobody_knows(settings: Settings) -> None:
    async with through_relay(settings, database_timeout=0.3) as (relay, client):
        await client.post(TASKS, json={"title": "x"})
        relay.flowing.clear()
        assert_unavailable(await client.post(TASKS, json={"title": "y"}), "outcome_unknown")


async def cut_off(relay: Relay, request: Coroutine[None, None, httpx.Response]) -> httpx.Response:
    """Cut every connection while the statement of a request is on its way."""
    relay.held.clear()
    relay.flowing.clear()
    waiting = asyncio.create_task(request)
    await relay.held.wait()
    relay.cut()
    relay.flowing.set()
    return await waiting


async def test_an_erasure_that_is_cut_off_before_its_commit_erases_nothing(settings: Settings) -> None:
    async with through_relay(settings) as (relay, client):
        await client.post(TASKS, json={"title": "kept"})
        assert_unavailable(await cut_off(relay, client.delete("/api/me")))
        assert [task["title"] for task in (await client.get(TASKS)).json()] == ["kept"]


async def test_an_erasure_without_an_answer_to_its_commit_says_that_nobody_knows(settings: Settings) -> None:
    async with through_relay(settings) as (relay, client):
        await client.post(TASKS, json={"title": "x"})
        relay.held.clear()
        relay.hold_at = b"COMMIT"
        waiting = asyncio.create_task(client.delete("/api/me"))
        await relay.held.wait()
        relay.cut()
        assert_unavailable(await waiting, "outcome_unknown")


async def test_what_was_not_sent_yet_is_sent_once_the_database_is_back(settings: Settings) -> None:
    async with through_relay(settings) as (relay, client):
        await client.get(TASKS)
        relay.refusing = True
        relay.cut()
        waiting = [
            asyncio.create_task(client.request(method, path, json=body))
            for method, path, body in (
                ("POST", TASKS, {"title": "once"}),
                ("GET", TASKS, None),
                ("DELETE", "/api/me", None),
            )
        ]
        while relay.refused < 3:
            await asyncio.sleep(0.01)
        relay.refusing = False
        assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [201, 200, 204]


async def test_the_first_connection_may_take_longer(settings: Settings) -> None:
    async with through_relay(settings, database_timeout=0.3) as (relay, client):
        relay.refusing = True
        waiting = asyncio.create_task(client.get(TASKS))
        await asyncio.sleep(0.6)
        assert not waiting.done()
        relay.refusing = False
        assert (await waiting).status_code == 200
        relay.refusing = True
        relay.cut()
        assert_unavailable(await client.get(TASKS))


async def test_a_full_queue_refuses_at_once_and_serves_those_it_took(settings: Settings) -> None:
    async with through_relay(settings, database_pool_size=2, database_queue=3, database_reads_per_user=7) as (
        relay,
        client,
    ):
        await asyncio.gather(*(client.get(TASKS) for _ in range(2)))
        relay.flowing.clear()
        taken = [asyncio.create_task(client.get(TASKS)) for _ in range(5)]
        await asyncio.sleep(0.05)
        for method, path, body in ROUTES:
            refused = await client.request(method, path, json=body)
            assert_unavailable(refused, "overloaded")
        relay.flowing.set()
        assert {answer.status_code for answer in await asyncio.gather(*taken)} == {200}


async def test_a_database_that_hangs_is_503_within_the_deadline_and_recovers(settings: Settings) -> None:
    async with through_relay(settings, database_timeout=2) as (relay, client):
        await client.get(TASKS)
        relay.flowing.clear()
        loop = asyncio.get_running_loop()
        started = loop.time()
        answers = await asyncio.gather(*(client.request(m, path, json=body) for m, path, body in ROUTES))
        assert loop.time() - started < 5
        for answer in answers:
            assert_unavailable(answer)  # also writes: none was prepared, so none was sent
        relay.flowing.set()
        assert (await client.get(TASKS)).status_code == 200


async def test_a_pool_that_is_used_up_is_503_and_recovers(settings: Settings, connection: asyncpg.Connection) -> None:
    small = replace(settings, database_pool_size=1, database_timeout=2)
    async with client_on(small) as client:
        await client.post(TASKS, json={"title": "x"})
        locked = connection.transaction()
        await locked.start()
        await connection.execute("LOCK TABLE users")
        answers = await asyncio.gather(*(client.get(TASKS) for _ in range(4)))
        for answer in answers:
            assert_unavailable(answer)
        await locked.rollback()
        assert (await client.get(TASKS)).status_code == 200


async def test_a_read_whose_backend_is_terminated_is_asked_again(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    single = replace(settings, database_pool_size=1)
    async with client_on(single) as client:
        await client.post(TASKS, json={"title": "x"})
        locked = connection.transaction()
        await locked.start()
        await connection.execute("LOCK TABLE users")
        waiting = asyncio.create_task(client.get(TASKS))
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))"
        while not await connection.fetch(query, connection.get_server_pid()):
            await asyncio.sleep(0.01)
        await locked.rollback()
        assert (await waiting).status_code == 200


async def test_a_request_that_its_client_gives_up_leaves_a_usable_pool(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    async with client_on(replace(settings, database_pool_size=1)) as client:
        await client.post(TASKS, json={"title": "x"})
        locked = connection.transaction()
        await locked.start()
        await connection.execute("LOCK TABLE users")
        abandoned = asyncio.create_task(client.get(TASKS))
        await asyncio.sleep(0.05)
        abandoned.cancel()
        await asyncio.gather(abandoned, return_exceptions=True)
        await locked.rollback()
        assert (await client.get(TASKS)).status_code == 200


async def test_rare_list_shapes_do_not_pile_up_in_the_server(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.db.statement.STATEMENTS_PER_CONNECTION", 4)
    single = replace(settings, database_pool_size=1)
    database = Database(single)
    shapes = [
        Statement.compile(
            "a.read", sa.select(sa.literal_column(str(number))).where(sa.literal_column("'u'") == USER_ID)
        )
        for number in range(10)
    ]
    for _ in range(2):
        for shape in shapes:
            record = await database.fetch(shape, {"user_id": "u"})
            assert record is not None
    async with database.transaction() as session:
        kept = await session.scalar(sa.text("SELECT count(*) FROM pg_prepared_statements"))
    await database.close()
    assert kept is not None
    assert kept <= 5


async def test_a_write_with_a_value_that_cannot_be_encoded_is_refused_and_leaves_a_usable_connection(
    settings: Settings,
) -> None:
    database = Database(replace(settings, database_pool_size=1))
    write = Statement("a.write", "UPDATE users SET revision = $1 WHERE false", ("revision",), writes=True)
    with pytest.raises(asyncpg.DataError):
        await database.fetch(write, {"revision": 2**80})
    assert await database.fetch(write, {"revision": 1}) is None
    await database.close()


def wrapped(sqlstate: str) -> list[Exception]:
    """The driver's exception as each layer hands it over."""
    bare = asyncpg.PostgresError()
    bare.sqlstate = sqlstate
    alchemy = DBAPIError("SELECT 1", {}, bare)
    return [bare, alchemy, caused_by(RepositoryError(), alchemy)]


def caused_by(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("sqlstate", "status"),
    [
        ("22P05", 422),
        ("22003", 422),
        ("22021", 422),
        ("23505", 409),
        ("08006", 503),
        ("40001", 503),
        ("40P01", 503),
        ("42P01", 503),
        ("42P10", 503),
        ("53300", 503),
        ("55P03", 503),
        ("57014", 503),
        ("57P01", 503),
        ("XX000", 503),
        ("23502", 500),
        ("42601", 500),
    ],
)
def test_every_sqlstate_has_its_status_through_every_layer(sqlstate: str, status: int) -> None:
    for exception in wrapped(sqlstate):
        problem = problem_of(exception)
        assert problem.status == status
        assert ("Retry-After" in problem.headers) is (status == 503)


@pytest.mark.parametrize(
    ("exception", "status"),
    [
        (OSError(), 503),
        (TimeoutError(), 503),
        (sa.exc.TimeoutError(), 503),
        (asyncpg.InterfaceError("connection is closed"), 503),
        (asyncpg.DataError("invalid input for query argument"), 422),
        (asyncpg.InternalClientError("unexpected type"), 503),
        (caused_by(RepositoryError(), asyncpg.InternalClientError("unexpected type")), 503),
        (caused_by(ValueError(), OSError()), 500),
        (ZeroDivisionError(), 500),
    ],
)
def test_trouble_without_a_sqlstate_has_its_status_too(exception: Exception, status: int) -> None:
    assert problem_of(exception).status == status


async def test_a_transaction_that_fails_leaves_nothing(settings: Settings) -> None:
    database = Database(settings)
    user_id = random_user()
    tasks = sa.select(Task).where(Task.user_id == user_id)

    async def write_and_fail() -> None:
        async with database.transaction() as session:
            session.add_all([User(id=user_id, revision=1), Task(user_id=user_id, title="x", revision=1)])
            assert (await session.scalars(tasks)).one().title == "x"
            raise KeyError

    with pytest.raises(KeyError):
        await write_and_fail()
    async with database.transaction() as session:
        assert (await session.scalars(tasks)).all() == []
    await database.close()


async def test_a_transaction_commits_at_its_end(settings: Settings) -> None:
    database = Database(settings)
    user_id = random_user()
    async with database.transaction() as session:
        session.add_all([User(id=user_id, revision=1), Task(user_id=user_id, title="x", revision=1)])
    async with database.transaction() as session:
        [task] = await session.scalars(sa.select(Task).where(Task.user_id == user_id))
    assert (task.title, task.priority, task.tags) == ("x", 2, [])
    await database.close()


async def test_a_statement_that_outlived_its_schema_is_prepared_anew(
    settings: Settings, create_database: Callable[[], str]
) -> None:
    own = replace(settings, database_url=await asyncio.to_thread(create_database), database_pool_size=1)
    await asyncio.to_thread(migrations.upgrade, own)
    connection = await asyncpg.connect(own.database_url)
    async with client_on(own) as client:
        await client.post(TASKS, json={"title": "x"})
        await client.get(TASKS)
        await connection.execute("ALTER TABLE users ALTER COLUMN revision TYPE numeric")
        await connection.execute("ALTER TABLE users ALTER COLUMN revision SET DEFAULT 1")
        assert (await client.get(TASKS)).status_code == 200
        assert (await client.post(TASKS, json={"title": "y"})).status_code == 201
        await connection.execute("ALTER TABLE users ALTER COLUMN revision TYPE bigint")
        assert (await client.post(TASKS, json={"title": "z"})).status_code == 201
        assert len((await client.get(TASKS)).json()) == 3
    await connection.close()

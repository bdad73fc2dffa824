"""Requests of one user beside those of others, on a real database; locks of the test's own keep them under way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from app.db import groups
from app.db.database import Database
from app.db.failures import UserQueueFull
from app.db.statement import Statement
from app.settings import Settings
from tests.conftest import client_of, random_user, running
from tests.db.test_coalesce import SECONDS, TOO_BIG, Reads, reading
from tests.db.test_failures import ROUTES, TASKS
from tests.wire import relayed

POOL = 10
HALF = POOL // 2
RAISE = Statement(
    "a.raise", "UPDATE users SET revision = revision + 1 WHERE id = $1 RETURNING revision", ("user_id",), writes=True
)

both_ways = pytest.mark.parametrize("coalesce", [True, False], ids=["together", "alone"])


def leaves_nothing(database: Database, pool: int = POOL) -> bool:
    """Tell whether no turn is taken, nobody waits, no user is remembered, and each open connection is idle."""
    connections, coalescer = database.connections, database._coalescer  # noqa: SLF001 - nothing else shows it
    users = (database._reads, database._writes)  # noqa: SLF001
    kept = [coalescer._groups, coalescer._user_groups, users[0].waiting._waiting]  # noqa: SLF001
    kept += [held for each in users for held in (each._taken, each._lines)]  # noqa: SLF001
    turns, idle = connections.turns, len(connections._idle)  # noqa: SLF001
    taken: int = database.engine.pool.checkedout()  # type: ignore[attr-defined]  # of the kind of pool that this is
    return not any(kept) and (turns.waiting, turns._value, idle) == (0, pool, taken)  # noqa: SLF001


@asynccontextmanager
async def locked(connection: asyncpg.Connection, lock: int) -> AsyncIterator[None]:
    await connection.execute("SELECT pg_advisory_lock($1)", lock)
    try:
        yield
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", lock)


@asynccontextmanager
async def hogging(
    reads: Reads, connection: asyncpg.Connection, user_id: str, number: int = HALF
) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """Have so many stuck reads of a user, each of a kind of its own, until the block ends."""
    async with locked(connection, reads.locked):
        before = reads.relay.statements
        stuck = [
            task for kind in range(number) for task in reads.start(user_id=user_id, group=f"{kind}", lock=reads.locked)
        ]
        await reads.sent(before + min(number, HALF))
        yield stuck


async def served(reads: Reads, **values: Any) -> None:
    """Have many other users read, and be answered."""
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*reads.start(20, **values))


@both_ways
async def test_slow_reads_of_one_user_hold_half_of_the_connections_and_stand_in_nobody_s_line(
    settings: Settings, connection: asyncpg.Connection, user_id: str, coalesce: bool
) -> None:
    async with reading(settings, pool=POOL, database_coalesce=coalesce) as reads:
        async with hogging(reads, connection, user_id, 40) as stuck:
            await asyncio.sleep(5 * groups.SLOW)
            assert (reads.relay.statements, reads.waiting) == (HALF, 0)
            await served(reads)
            await served(reads, group="0")
            assert not any(task.done() for task in stuck)
        await asyncio.gather(*stuck)
        assert leaves_nothing(reads.database)


@both_ways
async def test_more_reads_of_one_user_than_may_wait_are_refused_and_no_other_s(
    settings: Settings, connection: asyncpg.Connection, user_id: str, coalesce: bool
) -> None:
    async with reading(settings, pool=POOL, database_coalesce=coalesce, database_waiting_per_user=30) as reads:
        async with hogging(reads, connection, user_id) as stuck:
            waiting = reads.start(30, user_id=user_id)
            await asyncio.sleep(0)
            with pytest.raises(UserQueueFull):
                await reads.read(user_id=user_id)
            await served(reads)
        await asyncio.gather(*stuck, *waiting)
        await reads.read(user_id=user_id)
        assert leaves_nothing(reads.database)


async def test_reads_that_wait_for_a_turn_of_their_user_are_sent_together(
    settings: Settings, connection: asyncpg.Connection, user_id: str
) -> None:
    async with reading(settings, pool=POOL) as reads:
        async with hogging(reads, connection, user_id) as stuck:
            waiting = reads.start(30, user_id=user_id)
            await asyncio.sleep(5 * groups.SLOW)
        await asyncio.gather(*stuck, *waiting)
        assert reads.relay.statements == HALF + 1
        assert leaves_nothing(reads.database)


async def test_more_of_them_than_go_into_one_statement_take_several_turns(
    settings: Settings, connection: asyncpg.Connection, user_id: str
) -> None:
    async with reading(settings, pool=POOL, database_waiting_per_user=200) as reads:
        async with hogging(reads, connection, user_id) as stuck:
            waiting = reads.start(2 * groups.LARGEST + 1, user_id=user_id)
            await asyncio.sleep(0)
        await asyncio.gather(*stuck, *waiting)
        assert reads.relay.statements == HALF + 3
        assert leaves_nothing(reads.database)


async def test_the_failure_of_one_that_waits_for_its_turn_is_that_of_no_other(
    settings: Settings, connection: asyncpg.Connection, user_id: str
) -> None:
    async with reading(settings, pool=POOL) as reads:
        async with hogging(reads, connection, user_id) as stuck:
            waiting = [*reads.start(known=[TOO_BIG], user_id=user_id), *reads.start(10, user_id=user_id)]
            await asyncio.sleep(0)
        answers = await asyncio.gather(*stuck, *waiting, return_exceptions=True)
        failed = [isinstance(answer, asyncpg.DataError) for answer in answers]
        assert failed == [False] * HALF + [True] + [False] * 10
        assert leaves_nothing(reads.database)


async def test_a_user_whose_turns_are_taken_holds_up_nobody_in_the_same_statement(
    settings: Settings, connection: asyncpg.Connection, user_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "SLOW", 60)
    async with reading(settings, pool=POOL) as reads:
        async with locked(connection, reads.locked + 1):
            first = reads.start(groups.UNDER_WAY, lock=reads.locked + 1)
            await reads.sent(groups.UNDER_WAY)
            own, others = reads.start(3, user_id=user_id), reads.start(3)
            await asyncio.sleep(0)
            hog = hogging(reads, connection, user_id)
            stuck = await hog.__aenter__()
        await asyncio.gather(*first, *others)
        assert not any(task.done() for task in own)
        await hog.__aexit__(None, None, None)
        await asyncio.gather(*stuck, *own)
        assert reads.relay.statements == groups.UNDER_WAY + HALF + 2
        assert leaves_nothing(reads.database)


@both_ways
async def test_reads_that_are_cancelled_while_they_wait_leave_nothing(
    settings: Settings, connection: asyncpg.Connection, user_id: str, coalesce: bool
) -> None:
    async with reading(settings, pool=POOL, database_coalesce=coalesce) as reads:
        async with hogging(reads, connection, user_id) as stuck:
            for _ in range(3):
                waiting = reads.start(60, user_id=user_id)
                await asyncio.sleep(0)
                for task in waiting:
                    task.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.gather(*stuck)
        assert leaves_nothing(reads.database)


@both_ways
async def test_the_deadline_ends_the_wait_for_a_turn_too(
    settings: Settings, connection: asyncpg.Connection, user_id: str, coalesce: bool
) -> None:
    brief: dict[str, Any] = {"database_timeout": 1, "database_cold_start_timeout": 4}
    async with reading(settings, pool=POOL, database_coalesce=coalesce, **brief) as reads:
        async with hogging(reads, connection, user_id) as stuck:
            waiting = reads.start(10, user_id=user_id, lock=reads.locked)  # those before them end a little earlier
            answers = await asyncio.gather(*stuck, *waiting, return_exceptions=True)
            assert {type(answer) for answer in answers} == {TimeoutError}, answers
        async with asyncio.timeout(SECONDS):
            while not leaves_nothing(reads.database):  # what was sent for several ends a moment later
                await asyncio.sleep(0.01)


async def test_writes_and_erasures_of_one_user_wait_without_a_connection(
    settings: Settings, connection: asyncpg.Connection, user_id: str
) -> None:
    await connection.execute("INSERT INTO users (id, revision) VALUES ($1, 0)", user_id)
    async with reading(settings, pool=POOL) as reads:
        write = {"user_id": user_id}
        async with connection.transaction():
            await connection.execute("SELECT FROM users WHERE id = $1 FOR UPDATE", user_id)
            writes = [asyncio.create_task(reads.database.fetch(RAISE, write)) for _ in range(20)]
            await asyncio.sleep(0)
            erasing = asyncio.create_task(erase(reads.database, user_id))
            await reads.sent(2)
            await asyncio.sleep(0.1)
            assert (reads.relay.statements, reads.waiting) == (2, 0)
            assert not erasing.done()
            await served(reads, group="other")
        revisions = [record["revision"] for record in await asyncio.gather(*writes) if record]
        assert sorted(revisions) == [*range(1, 21)]
        await erasing
        assert leaves_nothing(reads.database)


async def erase(database: Database, user_id: str) -> None:
    async with database.transaction(user_id) as session:
        driver = await session.connection()
        await driver.exec_driver_sql("DELETE FROM users WHERE id = $1", (user_id,))


async def test_who_waits_too_much_is_told_so_and_when_to_come_again(settings: Settings) -> None:
    small = replace(settings, database_pool_size=2, database_waiting_per_user=1)
    async with (
        relayed(settings.database_url) as (relay, url),
        running(replace(small, database_url=url)) as app,
        client_of(app, small, random_user()) as client,
        client_of(app, small, random_user()) as other,
    ):
        await client.post(TASKS, json={"title": "x"})
        relay.flowing.clear()
        taken = [asyncio.create_task(client.get(TASKS)) for _ in range(2)]
        await asyncio.sleep(0.05)
        for path in [path for method, path, _ in ROUTES if method == "GET"]:
            refused = await client.get(path)
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
            assert refused.headers["content-type"] == "application/problem+json"
            assert refused.json()["code"] == "too_many_requests"
        served = asyncio.create_task(other.get(TASKS))
        await asyncio.sleep(0.05)
        relay.flowing.set()
        assert {answer.status_code for answer in await asyncio.gather(*taken, served)} == {200}

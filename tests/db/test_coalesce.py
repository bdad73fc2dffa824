"""Reads that are sent together, over a relay that counts statements; a lock of the test's own keeps them under way."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app.db import attempts, groups
from app.db.database import Database
from app.db.failures import QueueFull
from app.db.lateral import LateralStatement
from app.db.observers import AnyObserver
from app.db.statement import KNOWN, USER_ID, Statement
from app.models import USERS
from app.settings import Settings
from tests.conftest import random_user
from tests.wire import Relay, relayed

SECONDS = 30
LOCK = sa.bindparam("lock", type_=sa.BigInteger)
UNLOCKED = 0
TOO_BIG = 2**63
MISSING = "missing"
READ = Statement.compile(
    "a.read",
    sa.select(
        USER_ID.label("user_id"),
        KNOWN.label("known"),
        sa.bindparam("group", type_=sa.Text).label("group"),
        sa.func.pg_advisory_xact_lock_shared(LOCK).label("unlocked"),
    ).where(sa.literal_column(f"'{MISSING}'") != USER_ID),
    varying=(USER_ID, KNOWN, LOCK),
)
REVISION = Statement.compile("a.revision", sa.select(USERS.c.revision).where(USERS.c.id == USER_ID), varying=(USER_ID,))


class Reads:
    """Asks for rows that say whom they are for, and checks it."""

    def __init__(self, database: Database, relay: Relay) -> None:
        self.database = database
        self.relay = relay
        self.locked = random.getrandbits(62) | 1

    async def read(self, *, user_id: str = "", group: str = "", known: Any = (), lock: int = UNLOCKED) -> Any:
        user_id = user_id or random_user()
        values = {"user_id": user_id, "known": known, "group": group, "lock": lock}
        record = await self.database.fetch(READ, values)
        if record is not None:
            assert (record["user_id"], record["known"], record["group"]) == (user_id, [*known], group)
        return record

    def start(self, number: int = 1, **values: Any) -> list[asyncio.Task[Any]]:
        return [asyncio.create_task(self.read(**values)) for _ in range(number)]

    async def sent(self, statements: int) -> None:
        async with asyncio.timeout(SECONDS):
            while self.relay.statements < statements:
                await asyncio.sleep(0.001)

    @asynccontextmanager
    async def occupied(self, connection: asyncpg.Connection) -> AsyncIterator[list[asyncio.Task[Any]]]:
        """Have as many under way as others wait for, until the block ends."""
        await connection.execute("SELECT pg_advisory_lock($1)", self.locked)
        first = self.start(groups.UNDER_WAY, lock=self.locked)
        await self.sent(groups.UNDER_WAY)
        try:
            yield first
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", self.locked)

    @property
    def waiting(self) -> int:
        return self.database.connections.turns.waiting


@asynccontextmanager
async def reading(
    settings: Settings, *, pool: int = 10, observers: Sequence[AnyObserver] = (), **changes: Any
) -> AsyncIterator[Reads]:
    async with relayed(settings.database_url) as (relay, url):
        database = Database(replace(settings, database_url=url, database_pool_size=pool, **changes), observers)
        reads = Reads(database, relay)
        await asyncio.gather(*(reads.read(group=str(n)) for n in range(pool)))  # opens all connections
        relay.reset()
        yield reads
        await database.close()


@pytest.fixture
async def reads(settings: Settings) -> AsyncIterator[Reads]:
    async with reading(settings) as reads:
        yield reads


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing counts as slow, and whoever waits for others in the same statement does so for as long as they may."""
    monkeypatch.setattr(groups, "SLOW", 60)
    monkeypatch.setattr(attempts, "LONGEST", 60)


@pytest.mark.usefixtures("patient")
async def test_those_who_wait_are_sent_together_64_at_most(reads: Reads, connection: asyncpg.Connection) -> None:
    async with reads.occupied(connection) as first:
        waiting = reads.start(100)
        await asyncio.sleep(0.05)
        assert (reads.relay.statements, reads.waiting) == (2, 100)
    await asyncio.gather(*first, *waiting)
    assert (reads.relay.statements, reads.waiting) == (4, 0)


@pytest.mark.usefixtures("patient")
async def test_one_that_has_waited_alone_is_sent_as_it_would_have_been(
    reads: Reads, connection: asyncpg.Connection
) -> None:
    async with reads.occupied(connection) as first:
        [waiting] = reads.start()
        await asyncio.sleep(0)
    assert [*(await waiting).keys()] == [*(await first[0]).keys()]
    await first[1]
    assert reads.relay.statements == 3


@pytest.mark.usefixtures("patient")
async def test_nobody_waits_for_reads_of_another_kind(reads: Reads, connection: asyncpg.Connection) -> None:
    async with reads.occupied(connection) as first, asyncio.timeout(SECONDS):
        await asyncio.gather(*reads.start(20, group="other"))
        assert not any(task.done() for task in first)
    await asyncio.gather(*first)


async def test_slow_ones_hold_up_nobody_for_long(reads: Reads, connection: asyncpg.Connection) -> None:
    async with reads.occupied(connection) as first, asyncio.timeout(SECONDS):
        for _ in range(3):
            await asyncio.gather(*reads.start(20))
        assert not any(task.done() for task in first)
    await asyncio.gather(*first)


@pytest.mark.usefixtures("patient")
async def test_a_request_without_a_row_gets_none_and_no_other_does(
    reads: Reads, connection: asyncpg.Connection
) -> None:
    users = [random_user() if number % 3 else MISSING for number in range(30)]
    async with reads.occupied(connection) as first:
        waiting = [asyncio.create_task(reads.read(user_id=user_id)) for user_id in users]
        await asyncio.sleep(0)
    found = [record is not None for record in await asyncio.gather(*waiting)]
    assert found == [user_id != MISSING for user_id in users]
    await asyncio.gather(*first)
    assert reads.relay.statements == 3


@given(users=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), max_size=64))
@hypothesis_settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_text_can_be_a_user_s_id(reads: Reads, users: list[str]) -> None:
    await asyncio.gather(*(reads.read(user_id=user_id, known=range(len(user_id))) for user_id in users))


@pytest.mark.usefixtures("patient")
async def test_the_failure_of_one_is_that_of_no_other(reads: Reads, connection: asyncpg.Connection) -> None:
    async with reads.occupied(connection) as first:
        waiting = [*reads.start(10, known=[1, 2]), *reads.start(known=[TOO_BIG]), *reads.start(10)]
        await asyncio.sleep(0)
    answers = await asyncio.gather(*first, *waiting, return_exceptions=True)
    failed = [isinstance(answer, asyncpg.DataError) for answer in answers]
    assert failed == [False] * 12 + [True] + [False] * 10
    assert reads.waiting == 0


@pytest.mark.usefixtures("patient")
async def test_cancelling_one_cancels_no_other(reads: Reads, connection: asyncpg.Connection) -> None:
    async with reads.occupied(connection) as first:
        waiting = reads.start(20, lock=reads.locked)
        await asyncio.sleep(0)
        waiting[0].cancel()  # still waiting
        await asyncio.sleep(0)
        assert reads.waiting == 19
        first[0].cancel()  # makes room for them
        await reads.sent(3)
        assert reads.waiting == 0
        waiting[1].cancel()  # under way
        await asyncio.sleep(0.01)
    answers = await asyncio.gather(*first, *waiting, return_exceptions=True)
    cancelled = [isinstance(answer, asyncio.CancelledError) for answer in answers]
    assert cancelled == [True, False, True, True] + [False] * 18
    assert reads.relay.statements == 3


async def test_the_deadline_of_one_is_that_of_no_other(
    settings: Settings, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "LONGEST", 0.3)
    brief = replace(settings, database_timeout=3)
    async with reading(brief) as reads, reads.occupied(connection) as first:
        waiting = [*reads.start(lock=reads.locked), *reads.start(20)]
        answers = await asyncio.gather(*first, *waiting, return_exceptions=True)
        late = [isinstance(answer, TimeoutError) for answer in answers]
        assert late == [True] * 3 + [False] * 20
        assert reads.waiting == 0


async def test_nobody_waits_long_for_those_in_the_same_statement(
    reads: Reads, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "LONGEST", 0.1)
    async with reads.occupied(connection) as first:
        slow, *others = [*reads.start(lock=reads.locked), *reads.start(20)]
        async with asyncio.timeout(30):
            await asyncio.gather(*others)
        assert not slow.done()
    await asyncio.gather(*first, slow)


async def test_a_lost_connection_fails_nobody(reads: Reads, connection: asyncpg.Connection) -> None:
    async with reads.occupied(connection) as first:
        waiting = reads.start(20, lock=reads.locked)
        await reads.sent(3)
        reads.relay.cut()
        await asyncio.sleep(0.01)
    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*first, *waiting)


async def test_what_was_written_before_a_request_is_in_its_answer(
    reads: Reads, connection: asyncpg.Connection, user_id: str
) -> None:
    """Even if others, who asked before, have no answer yet."""

    async def ask() -> int:
        record = await reads.database.fetch(REVISION, {"user_id": user_id})
        assert record is not None
        return int(record["revision"])

    await connection.execute("INSERT INTO users (id, revision) VALUES ($1, 1)", user_id)
    for number in range(2, 50):
        before = [asyncio.create_task(ask()) for _ in range(20)]
        await asyncio.sleep(random.random() / 1000)  # noqa: S311 - no secret
        await connection.execute("UPDATE users SET revision = $2 WHERE id = $1", user_id, number)
        assert await asyncio.gather(*(ask() for _ in range(20))) == [number] * 20
        assert set(await asyncio.gather(*before)) <= {number - 1, number}


async def test_whoever_comes_before_it_is_their_turn_is_sent_along(
    settings: Settings, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "SLOW", 0.3)
    async with reading(settings, pool=groups.UNDER_WAY) as reads:
        async with reads.occupied(connection) as first:
            waiting = []
            for _ in range(5):
                waiting += reads.start()
                await asyncio.sleep(groups.SLOW * 2 / 3)
            assert reads.waiting == 5
        await asyncio.gather(*first, *waiting)
        assert reads.relay.statements == 3


async def test_the_queue_counts_those_who_wait_to_be_sent_together(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    async with reading(settings, pool=2, database_queue=5) as reads:
        async with reads.occupied(connection) as first:
            waiting = reads.start(5)
            await asyncio.sleep(0)
            for group in ("", "other"):
                with pytest.raises(QueueFull):
                    await reads.read(group=group)
        await asyncio.gather(*first, *waiting)
        assert reads.waiting == 0
        await asyncio.gather(*reads.start(7))


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("queue", [0, 5])
async def test_nobody_is_refused_while_a_connection_is_free(
    settings: Settings, connection: asyncpg.Connection, queue: int
) -> None:
    async with reading(settings, database_queue=queue) as reads:
        async with reads.occupied(connection) as first:
            waiting = reads.start(queue)
            await asyncio.sleep(0)
            await reads.read()
            assert not any(task.done() for task in waiting)
        await asyncio.gather(*first, *waiting)


async def test_each_is_sent_by_itself_where_that_is_set(settings: Settings, connection: asyncpg.Connection) -> None:
    async with reading(settings, database_coalesce=False) as reads:
        async with reads.occupied(connection) as first:
            await asyncio.gather(*reads.start(20))
            assert reads.relay.statements == 22
        await asyncio.gather(*first)


async def test_closing_ends_what_is_under_way(
    settings: Settings, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "LONGEST", 60)
    async with reading(settings) as reads, reads.occupied(connection) as first:
        waiting = reads.start(20, lock=reads.locked)
        await reads.sent(3)
        for task in (*first, *waiting):
            task.cancel()
        await asyncio.gather(*first, *waiting, return_exceptions=True)
        async with asyncio.timeout(attempts.LONGEST / 2):
            await reads.database.close()
        assert not [task for task in asyncio.all_tasks() if "Coalescer" in repr(task)]


def test_what_writes_is_never_sent_twice() -> None:
    with pytest.raises(AssertionError):
        Statement.compile(
            "a.write", sa.update(USERS).values(revision=None).where(USERS.c.id == USER_ID), varying=(USER_ID,)
        )


def test_arrays_of_text_cannot_vary() -> None:
    tags = sa.bindparam("tags", type_=sa.ARRAY(sa.Text))
    statement = Statement.compile(
        "a.tags", sa.select(USER_ID.label("user_id"), tags.label("tags")), varying=(USER_ID, tags)
    )
    with pytest.raises(ValueError, match="nest"):
        LateralStatement.of(statement)

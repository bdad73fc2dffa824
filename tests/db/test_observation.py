"""What observers are told of statements and transactions, over a relay that can hold and cut what is under way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from app.db import attempts, groups
from app.db.database import Database
from app.db.failures import AnswerLost, QueueFull, UserQueueFull
from app.db.observation import CONTEXT, REQUEST_ID, Execution
from app.settings import Settings
from app.users.repository import UserStore
from tests.conftest import random_user
from tests.db.test_coalesce import SECONDS, TOO_BIG, Reads, reading
from tests.db.test_user_turns import HALF, RAISE, hogging, leaves_nothing, locked

HELD = 0.1
"""Seconds for which a test holds something."""


class Told(list[Execution]):
    """Everything that an observer was told, in order, and the size of each that ended as it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def observe(self, execution: Execution) -> None:
        self.sizes.append(execution.size)  # it forgets its rows afterwards
        self.append(execution)

    def clear(self) -> None:
        super().clear()
        self.sizes.clear()

    async def number(self, number: int) -> list[Execution]:
        async with asyncio.timeout(SECONDS):
            while len(self) < number:
                await asyncio.sleep(0.001)
        return [*self]


@asynccontextmanager
async def observed(settings: Settings, **changes: Any) -> AsyncIterator[tuple[Reads, Told]]:
    told = Told()
    async with reading(settings, observers=[told.observe], **changes) as reads:
        told.clear()
        yield reads, told


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing counts as slow, and whoever waits for others in the same statement does so for as long as they may."""
    monkeypatch.setattr(groups, "SLOW", 60)
    monkeypatch.setattr(attempts, "LONGEST", 60)


async def cut_off(reads: Reads, asking: "asyncio.Task[Any]") -> None:
    """Cut every connection while something is held on its way."""
    await reads.relay.held.wait()
    reads.relay.cut()
    reads.relay.flowing.set()
    await asyncio.gather(asking, return_exceptions=True)


def hold(reads: Reads) -> None:
    reads.relay.held.clear()
    reads.relay.flowing.clear()


@pytest.mark.parametrize("coalesce", [True, False], ids=["together", "alone"])
async def test_a_read_is_told_with_its_name_its_durations_and_what_its_request_left_for_traces(
    settings: Settings, user_id: str, coalesce: bool
) -> None:
    async with observed(settings, database_coalesce=coalesce) as (reads, told):
        CONTEXT.set("trace")
        REQUEST_ID.set("request")
        before = asyncio.get_running_loop().time()
        reads.relay.delay = HELD
        await reads.read(user_id=user_id, group="ä", known=[1, 2])
        [execution] = told
        assert (execution.name, execution.outcome, execution.requests, execution.retries) == ("a.read", "ok", 1, 0)
        assert (execution.contexts, execution.request_id, execution.lent) == (("trace",), "request", True)
        assert execution.took >= HELD
        assert (execution.waited < HELD, execution.connecting) == (True, 0)
        assert before <= execution.began <= before + SECONDS
        assert told.sizes[-1] == len(user_id) + len("ä") + 2 * 8  # and nothing for the lock's void


async def test_the_moment_of_its_start_is_that_of_the_wall_clock(settings: Settings) -> None:
    starts: list[int] = []
    async with reading(settings, pool=1, observers=[lambda execution: starts.append(execution.started)]) as reads:
        await reads.read()
        first, second = starts
        assert 0 < second - first < SECONDS * 1e9
        assert abs(await now(reads.database) - second / 1e9) < SECONDS


async def now(database: Database) -> float:
    async with database.transaction() as session:
        return float(await session.scalar(sa.text("SELECT extract(epoch FROM clock_timestamp())")))


async def test_opening_a_connection_and_preparing_is_told_apart(settings: Settings) -> None:
    told = Told()
    async with reading(settings, pool=2, observers=[told.append]) as reads:
        assert all(execution.connecting > 0 for execution in told)
        told.clear()
        await reads.read(group="0")
        assert told[0].connecting == 0


@pytest.mark.usefixtures("patient")
async def test_reads_that_are_sent_together_are_told_as_one_with_what_each_left(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    async with observed(settings) as (reads, told):
        async with reads.occupied(connection) as first:
            waiting = []
            for number in range(5):
                CONTEXT.set(number)
                REQUEST_ID.set("one of them")
                waiting += reads.start()
            await asyncio.sleep(HELD)
        await asyncio.gather(*first, *waiting)
        [shared] = [each for each in await told.number(3) if each.requests > 1]
        assert len(told) == 3
        assert (shared.name, shared.outcome, shared.requests) == ("a.read", "ok", 5)
        assert (shared.contexts, shared.request_id) == ([0, 1, 2, 3, 4], None)
        assert HELD <= shared.waited < SECONDS
        assert told.sizes[told.index(shared)] > 5 * len(random_user())


@pytest.mark.usefixtures("patient")
async def test_one_that_has_waited_alone_is_told_with_its_request(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    async with observed(settings) as (reads, told):
        REQUEST_ID.set(None)  # tests share a context
        async with reads.occupied(connection) as first:
            REQUEST_ID.set("request")
            waiting = reads.start()
            await asyncio.sleep(0)
        await asyncio.gather(*first, *waiting)
        assert sorted((each.requests, each.request_id or "") for each in await told.number(3)) == [
            *[(1, "")] * groups.UNDER_WAY,
            (1, "request"),
        ]


async def test_those_who_wait_for_a_turn_of_their_user_are_told_as_one(
    settings: Settings, connection: asyncpg.Connection, user_id: str
) -> None:
    async with observed(settings) as (reads, told):
        async with hogging(reads, connection, user_id) as stuck:
            waiting = reads.start(7, user_id=user_id)
            await asyncio.sleep(HELD)
        await asyncio.gather(*stuck, *waiting)
        assert sorted(execution.requests for execution in await told.number(HALF + 1)) == [1] * HALF + [7]
        assert max(execution.waited for execution in told) >= HELD


@pytest.mark.usefixtures("patient")
async def test_after_a_failure_of_one_for_several_each_is_told_by_itself(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    async with observed(settings) as (reads, told):
        async with reads.occupied(connection) as first:
            waiting = [*reads.start(known=[TOO_BIG]), *reads.start(3)]
            await asyncio.sleep(0)  # all of them wait from here on
            await asyncio.sleep(HELD)
        await asyncio.gather(*first, *waiting, return_exceptions=True)
        [shared] = [each for each in await told.number(7) if each.requests > 1]
        own = [each for each in told if each.retries]
        assert (shared.requests, shared.outcome) == (4, "failed")
        assert sorted((each.requests, each.retries, each.outcome) for each in own) == [
            (1, 1, "failed"),
            *[(1, 1, "ok")] * 3,
        ]
        assert all(HELD <= each.waited < SECONDS for each in own)


@pytest.mark.usefixtures("patient")
async def test_one_for_several_that_takes_too_long_is_the_database_s_time_and_not_the_queue_s(
    settings: Settings, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "LONGEST", 5 * HELD)
    async with observed(settings) as (reads, told):
        async with locked(connection, reads.locked + 1):
            async with reads.occupied(connection) as first:
                slow, *others = [*reads.start(lock=reads.locked + 1), *reads.start(2)]
                await asyncio.sleep(0)
            await asyncio.gather(*first, *others)
        await slow
        alone = [each for each in await told.number(6) if each.retries]
        assert all(each.took > max(each.waited, HELD) for each in alone)
        assert len(alone) == 3


async def test_a_read_whose_backend_was_killed_is_told_once_with_its_retry(settings: Settings) -> None:
    async with observed(settings) as (reads, told):
        hold(reads)
        [asking] = reads.start()
        await cut_off(reads, asking)
        [execution] = told
        assert (execution.outcome, execution.retries) == ("ok", 1)
        assert execution.connecting > 0


async def test_a_write_is_told_and_one_without_an_answer_is_unknown(settings: Settings, user_id: str) -> None:
    async with observed(settings, pool=1) as (reads, told):
        await reads.database.fetch(RAISE, {"user_id": user_id})
        hold(reads)
        asking = asyncio.create_task(reads.database.fetch(RAISE, {"user_id": user_id}))
        await cut_off(reads, asking)
        with pytest.raises(AnswerLost):
            await asking
        assert [(each.name, each.outcome, each.size) for each in told] == [
            ("a.raise", "ok", 0),
            ("a.raise", "unknown", 0),
        ]


async def test_what_the_server_refuses_has_failed(settings: Settings) -> None:
    async with observed(settings) as (reads, told):
        with pytest.raises(asyncpg.DataError):
            await reads.read(known=[TOO_BIG])
        assert [each.outcome for each in told] == ["failed"]


async def test_what_has_no_answer_in_time_has_failed(settings: Settings) -> None:
    async with observed(settings, pool=1, database_timeout=HELD) as (reads, told):
        reads.relay.flowing.clear()
        with pytest.raises(TimeoutError):
            await reads.read()
        [execution] = told
        assert (execution.outcome, execution.lent) == ("failed", True)
        assert execution.took >= HELD / 2


async def test_what_finds_a_queue_full_is_refused_and_was_never_lent_a_connection(
    settings: Settings, connection: asyncpg.Connection, user_id: str
) -> None:
    bounds = {"database_queue": 0, "database_waiting_per_user": 0}
    async with observed(settings, pool=2, database_reads_per_user=1, **bounds) as (reads, told):
        async with reads.occupied(connection) as first:
            with pytest.raises(QueueFull):
                await reads.read()
        await asyncio.gather(*first)
        async with hogging(reads, connection, user_id, 1) as stuck:
            with pytest.raises(UserQueueFull):
                await reads.read(user_id=user_id)
        await asyncio.gather(*stuck)
        refused = [each for each in told if each.outcome == "refused"]
        assert [(each.lent, each.took, each.connecting) for each in refused] == [(False, 0, 0)] * 2
        assert len(told) == 5


@pytest.mark.usefixtures("patient")
async def test_cancelled_requests_are_told_as_such_wherever_they_are(
    settings: Settings, connection: asyncpg.Connection, user_id: str
) -> None:
    async with observed(settings) as (reads, told):
        async with reads.occupied(connection) as first:
            waiting = reads.start(2)
            await asyncio.sleep(0)
            for task in (waiting[0], first[0]):
                task.cancel()
            await asyncio.gather(waiting[0], first[0], return_exceptions=True)
            assert sorted((each.outcome, each.lent) for each in told) == [("cancelled", False), ("cancelled", True)]
            told.clear()
        await asyncio.gather(first[1], waiting[1])
        assert [each.outcome for each in await told.number(2)] == ["ok", "ok"]
        told.clear()
        hold(reads)
        writing = asyncio.create_task(reads.database.fetch(RAISE, {"user_id": user_id}))
        await reads.relay.held.wait()
        reads.relay.flowing.set()
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        assert [each.outcome for each in told] in (["cancelled"], ["unknown"])  # it was being prepared, or sent


async def test_a_transaction_is_told_by_its_name(settings: Settings, user_id: str) -> None:
    async with observed(settings) as (reads, told):
        await UserStore(reads.database, priority_names=["a", "b", "c"]).erase(user_id)
        [execution] = told
        assert (execution.name, execution.outcome, execution.requests, execution.size) == ("users.erase", "ok", 1, 0)
        assert min(execution.took, execution.connecting) > 0


async def test_a_transaction_that_fails_is_told_and_one_without_an_answer_to_its_commit_is_unknown(
    settings: Settings, user_id: str
) -> None:
    async with observed(settings) as (reads, told):
        with pytest.raises(KeyError):
            async with reads.database.transaction(name="a.transaction"):
                raise KeyError
        reads.relay.held.clear()
        reads.relay.hold_at = b"COMMIT"
        erasing = asyncio.create_task(UserStore(reads.database, priority_names=["a", "b", "c"]).erase(user_id))
        await cut_off(reads, erasing)
        assert [(each.name, each.outcome) for each in told] == [("a.transaction", "failed"), ("users.erase", "unknown")]


async def test_a_transaction_counts_its_attempts_to_connect(settings: Settings) -> None:
    async with observed(settings, pool=1) as (reads, told):
        reads.relay.refusing = True
        reads.relay.cut()
        await asyncio.sleep(HELD)
        asking = asyncio.create_task(now(reads.database))
        async with asyncio.timeout(SECONDS):
            while reads.relay.refused < 2:
                await asyncio.sleep(0.001)
        reads.relay.refusing = False
        await asking
        assert (told[0].outcome, told[0].retries >= 2) == ("ok", True)


async def test_an_observer_that_fails_breaks_nothing_and_is_logged_once(settings: Settings) -> None:
    told = Told()

    def broken(_: Execution) -> None:
        raise ZeroDivisionError

    async with reading(settings, pool=1, observers=[broken, told.append]) as reads:
        told.clear()
        with capture_logs() as logs:
            await reads.read()
        assert logs == []  # the first one was while the connection was opened
        with pytest.raises(asyncpg.DataError):
            await reads.read(known=[TOO_BIG])
        assert [each.outcome for each in told] == ["ok", "failed"]
    with capture_logs() as logs:
        async with reading(settings, pool=1, observers=[broken]) as reads:
            await reads.read()
    assert [(line["log_level"], line["errors"]) for line in logs] == [("error", ["ZeroDivisionError"])]


async def test_nothing_is_made_for_nobody(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_cls: type[Execution], _name: str) -> None:
        raise AssertionError

    monkeypatch.setattr(Execution, "begin", classmethod(fail))
    async with reading(settings) as reads:
        await asyncio.gather(*reads.start(20))
        await now(reads.database)


@pytest.mark.usefixtures("patient")
async def test_the_connections_and_who_waits_for_them_can_be_counted(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    async with reading(settings, pool=3, database_queue=9) as reads:
        database, connections = reads.database, reads.database.connections
        turns = connections.turns
        assert (turns.size, turns.queue) == (3, 9)
        assert (connections.open, turns.taken, turns.waiting) == (3, 0, 0)
        async with reads.occupied(connection) as first:
            assert (connections.open, turns.taken) == (3, groups.UNDER_WAY)
            waiting = reads.start(4)
            await asyncio.sleep(0)
            assert turns.waiting == 4
        await asyncio.gather(*first, *waiting)
        assert leaves_nothing(database, 3)
        reads.relay.cut()
        await asyncio.sleep(HELD)
        await reads.read()
        assert (connections.open, turns.taken) == (1, 0)
    assert connections.open == 0

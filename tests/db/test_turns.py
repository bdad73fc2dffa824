"""Whose turn it is, without a database; what is kept of users is looked at in the objects themselves."""

import asyncio
import random
from collections import Counter

import pytest

from app.db.failures import QueueFull, UserQueueFull
from app.db.turns import Turns, UserTurns, WaitingPerUser

USERS = ["ada", "bob", "eve"]


def is_empty(turns: UserTurns) -> bool:
    """Tell whether nothing is kept of any user."""
    return not (turns._taken or turns._lines or turns.waiting._waiting)  # noqa: SLF001 - nothing else shows it


async def started() -> None:
    """Let tasks run until each of them waits."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_waiting_requests_are_served_in_their_order_and_further_ones_refused() -> None:
    turns = Turns(size=1, queue=2)
    served: list[int] = []

    async def use(number: int) -> None:
        async with turns:
            served.append(number)
            await asyncio.sleep(0)

    async with turns:
        waiting = [asyncio.create_task(use(number)) for number in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await turns.acquire()
        assert turns.refused == 1
        abandoned = waiting.pop()
        abandoned.cancel()
        await asyncio.gather(abandoned, return_exceptions=True)
        waiting.append(asyncio.create_task(use(2)))
    await asyncio.gather(*waiting)
    assert served == [0, 2]


async def test_who_has_been_admitted_is_not_refused_but_counted() -> None:
    turns = Turns(size=1, queue=1)

    async def use() -> None:
        async with turns.admitted():
            await asyncio.sleep(0)

    async with turns:
        users = [asyncio.create_task(use()) for _ in range(2)]
        await asyncio.sleep(0)
        assert turns.waiting == 2
        with pytest.raises(QueueFull):
            await turns.acquire()
        users[0].cancel()
        await asyncio.sleep(0)
        assert turns.waiting == 1
    await users[1]
    assert (turns.waiting, turns.locked()) == (0, False)


async def test_requests_of_a_user_take_turns_in_their_order_and_those_of_others_do_not_wait() -> None:
    turns = UserTurns(2, WaitingPerUser(64))
    served: list[int] = []
    go = asyncio.Event()

    async def use(number: int) -> None:
        async with turns.turn("ada"):
            served.append(number)
            await go.wait()

    tasks = [asyncio.create_task(use(number)) for number in range(20)]
    await started()
    assert served == [0, 1]
    async with asyncio.timeout(30), turns.turn("bob"):
        assert served == [0, 1]
    go.set()
    await asyncio.gather(*tasks)
    assert served == [*range(20)]
    assert is_empty(turns)


async def test_whoever_comes_when_a_turn_is_given_back_overtakes_nobody() -> None:
    turns = UserTurns(1, WaitingPerUser(64))
    assert turns.take("ada")
    waiting = asyncio.create_task(turns.wait("ada"))
    await started()
    turns.release("ada")
    assert not turns.take("ada")
    await waiting
    turns.release("ada")
    assert is_empty(turns)


async def test_more_requests_of_a_user_than_may_wait_are_refused_for_reads_and_writes_together() -> None:
    waiting = WaitingPerUser(2)
    reads, writes = UserTurns(1, waiting), UserTurns(1, waiting)
    assert reads.take("ada")
    assert writes.take("ada")
    tasks = [asyncio.create_task(turns.wait("ada")) for turns in (reads, writes)]
    await started()
    for turns in (reads, writes):
        with pytest.raises(UserQueueFull):
            await turns.wait("ada")
        assert turns.take("bob")
        turns.release("bob")
    assert writes.waiting.refused == 2
    again = asyncio.create_task(reads.wait("ada", admitted=True))
    await started()
    assert not again.done()
    for _ in range(2):
        reads.release("ada")
    writes.release("ada")
    await asyncio.gather(*tasks, again)
    reads.release("ada")
    writes.release("ada")
    assert is_empty(reads)
    assert is_empty(writes)


async def test_a_user_with_no_place_to_wait_is_served_while_turns_are_free() -> None:
    turns = UserTurns(1, WaitingPerUser(0))
    async with turns.turn("ada"):
        with pytest.raises(UserQueueFull):
            await turns.wait("ada")
    assert is_empty(turns)


async def test_a_turn_that_comes_in_the_moment_of_a_cancellation_goes_to_the_next() -> None:
    turns = UserTurns(1, WaitingPerUser(64))
    assert turns.take("ada")
    first, second, third = (asyncio.create_task(turns.wait("ada")) for _ in range(3))
    await started()
    turns.release("ada")  # the first has the turn, and does not know it yet
    first.cancel()
    second.cancel()  # still in line
    await asyncio.gather(first, second, return_exceptions=True)
    await third
    assert (first.cancelled(), second.cancelled()) == (True, True)
    turns.release("ada")
    assert is_empty(turns)


@pytest.mark.parametrize("seed", range(20))
async def test_no_turn_is_lost_when_requests_are_cancelled_at_any_moment(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - when what happens, no secret
    turns = UserTurns(2, WaitingPerUser(10))
    under_way: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()

    async def use(user_id: str) -> None:
        async with turns.turn(user_id):
            under_way[user_id] += 1
            assert under_way[user_id] <= 2
            try:
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
            finally:
                under_way[user_id] -= 1

    async def come() -> None:
        request = asyncio.create_task(use(chance.choice(USERS)))
        for _ in range(chance.randrange(30)):
            await asyncio.sleep(0)
        if chance.random() < 0.5:
            request.cancel()
        [outcome] = await asyncio.gather(request, return_exceptions=True)
        outcomes[type(outcome).__name__] += 1

    for _ in range(10):
        await asyncio.gather(*(come() for _ in range(chance.randrange(60))))
        assert is_empty(turns)
    assert outcomes.keys() == {"NoneType", "CancelledError", "UserQueueFull"}

"""Counts in memory: what a window lets through, what it says of it, and how much it remembers."""

import secrets
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.quotas import Limit
from app.ratelimit import memory
from app.ratelimit.memory import MemoryCounts, Window

USERS_AND_ADDRESSES = 200_000
MOST_BYTES = 64_000_000
PART = 20
"""The test of memory has a twentieth of the keys, and of the room for them."""


class Clock:
    def __init__(self) -> None:
        self.now = 6000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(memory, "monotonic", clock)
    return clock


def served(window: Window, times: int, key: str = "ada") -> int:
    return sum(window.hit(key)[0] for _ in range(times))


def test_as_many_as_the_limit_are_served_and_each_key_has_its_own(clock: Clock) -> None:
    window = Window(Limit(100, 60))
    assert [served(window, 150), served(window, 150, "bob"), served(window, 10)] == [100, 100, 0]
    clock.now += 59.9
    assert served(window, 1) == 0


def test_the_end_of_a_window_is_no_new_beginning(clock: Clock) -> None:
    window = Window(Limit(100, 60))
    clock.now += 59
    assert served(window, 150) == 100
    clock.now += 1
    assert served(window, 150) <= 1
    clock.now += 30
    assert served(window, 150) == pytest.approx(50, abs=1)
    clock.now += 120
    assert served(window, 150) == 100


def test_every_answer_says_how_many_more_are_served_and_how_soon(clock: Clock) -> None:
    window = Window(Limit(3, 60))
    clock.now += 0.5
    assert [window.hit("ada") for _ in range(4)] == [(True, 2, 60), (True, 1, 60), (True, 0, 60), (False, 0, 60)]
    clock.now += 59.5
    assert window.hit("ada") == (False, 0, 1)


@given(
    limit=st.builds(Limit, st.integers(1, 20), st.sampled_from([1, 60, 3600])),
    steps=st.lists(st.tuples(st.floats(0, 2), st.integers(1, 30)), max_size=8),
)
def test_whoever_waits_as_long_as_they_are_told_is_served(limit: Limit, steps: list[tuple[float, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr(memory, "monotonic", clock)
        window = Window(limit)
        for windows, times in steps:
            clock.now += windows * limit.seconds
            served(window, times)
        allowed, remaining, seconds = window.hit("ada")
        if not allowed or not remaining:
            clock.now += seconds
            assert window.hit("ada")[0]
        else:
            assert served(window, remaining) == remaining


@given(pauses=st.lists(st.floats(0, 0.5), min_size=1, max_size=200))
def test_no_two_windows_together_let_through_more_than_twice_the_limit(pauses: list[float]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr(memory, "monotonic", clock)
        window = Window(Limit(10, 1))
        times = []
        for pause in pauses:
            clock.now += pause
            times += [clock.now] * served(window, 3)
    whole = [int(time) for time in times]
    counts = [whole.count(second) for second in range(6000, 6000 + 110)]
    assert all(count <= 10 for count in counts)
    assert all(a + b <= 20 for a, b in pairwise(counts))


async def test_a_limit_that_two_kinds_of_requests_share_is_counted_once(clock: Clock) -> None:
    del clock
    counts = MemoryCounts()
    user, writes = {"user": Limit(3, 60)}, {"writes": Limit(2, 60)}
    reads, both = counts.counter(user), counts.counter(user | writes)
    assert [standing[:2] for standing in await both("ada")] == [(True, 2), (True, 1)]
    assert [standing[:2] for standing in await reads("ada")] == [(True, 1)]
    assert [standing[:2] for standing in await both("ada")] == [(True, 0), (True, 0)]


async def test_two_hundred_thousand_users_and_addresses_take_less_than_64_megabytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "CAPACITY", memory.CAPACITY // PART)
    counts = MemoryCounts()
    user, writes, failed = (counts.counter({name: Limit(600, 86400)}) for name in ("user", "writes", "failed-auth"))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for counter in (user, writes, failed):
            for key in (secrets.token_urlsafe(24) for _ in range(USERS_AND_ADDRESSES // PART)):
                for _ in range(4):
                    await counter(key)
        assert tracemalloc.get_traced_memory()[0] - before < MOST_BYTES / PART
    finally:
        tracemalloc.stop()


def test_a_flood_of_keys_ends_a_window_early_and_forgets_the_oldest(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    del clock
    monkeypatch.setattr(memory, "CAPACITY", 10)
    window = Window(Limit(1, 60))
    assert served(window, 2, "ada") == 1
    for number in range(9):
        window.hit(f"u{number}")
    assert served(window, 2, "ada") == 0
    for number in range(20):
        window.hit(f"v{number}")
    assert served(window, 2, "ada") == 1

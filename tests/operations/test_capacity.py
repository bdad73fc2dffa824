"""The tables of docs/capacity.md are what its script prints, and the script's formulas follow their inputs."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs.operations.capacity import SMALLEST, Inputs, Needs, end_of_one_primary, needs, options, report, size
from tests.processes import ROOT

PAGE = (ROOT / "docs" / "capacity.md").read_text()
COUNTED: dict[str, Callable[[Needs], float]] = {
    "peak": lambda found: found.peak,
    "workers": lambda found: found.workers,
    "machines": lambda found: found.machines,
    "connections": lambda found: found.connections,
    "processor": lambda found: found.processor,
    "memory": lambda found: found.memory,
    "primaries and their size": lambda found: found.primaries * found.compute,
    "storage": lambda found: found.storage,
    "wal": lambda found: found.wal,
    "transfer": lambda found: found.transfer,
    **{f"$ for {what}": lambda found, what=what: found.dollars[what] for what in needs(1, Inputs()).dollars},  # type: ignore[misc]
}
RAISES: dict[str, set[str]] = {
    "requests": {"peak", "processor", "wal", "transfer"},
    "peak": {"peak", "processor"},
    "writes": {"wal"},
    "registered": {"memory", "storage", "$ for storage"},
    "tasks": {"memory", "storage", "$ for storage"},
    "app_unchanged": {"workers"},
    "app_read": {"workers"},
    "app_write": {"workers"},
    "database_unchanged": {"processor"},
    "database_read": {"processor"},
    "database_write": {"processor"},
    "database_factor": {"processor"},
    "spare": {"machines"},
    "pool": {"connections"},
    "task_bytes": {"memory", "storage", "$ for storage"},
    "user_bytes": {"memory", "storage", "$ for storage"},
    "wal_bytes": {"wal", "$ for history"},
    "read_bytes": {"transfer", "$ for transfer"},
    "other_bytes": {"transfer", "$ for transfer"},
    "cached": {"memory", "$ for compute"},
    "history": {"$ for history"},
    "price_large": {"$ for compute"},
    "price_storage": {"$ for storage"},
    "price_history": {"$ for history"},
    "price_transfer": {"$ for transfer"},
}
"""What grows with each input; nothing in `COUNTED` may shrink with it."""
LOWERS: dict[str, set[str]] = {
    "unchanged": {"processor", "transfer"},
    "busy": {"processor", "workers"},
    "machine": {"machines"},
    "unit_memory": {"memory"},
    "free_transfer": {"$ for transfer"},
}
ELSEWHERE = {"largest", "largest_storage", "autoscaled", "price_compute"}
"""Inputs that a test of their own is about."""

daily = st.integers(1, 100_000_000)
HALF = Inputs(unchanged=0.35, writes=0.2)
MANY = 50_000_000


def printed(*arguments: str) -> str:
    script = [sys.executable, "docs/operations/capacity.py", *arguments]
    return subprocess.run(script, cwd=ROOT, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("arguments", [(), ("--inputs",)])
def test_page_has_what_the_script_prints(arguments: tuple[str, ...]) -> None:
    assert printed(*arguments) in PAGE


def test_each_input_is_an_option() -> None:
    assert printed("1000", "--requests", "40") == report([1000], Inputs(requests=40)) + "\n"
    for one in fields(Inputs):
        parsed = vars(options().parse_args([f"--{one.name.replace('_', '-')}", "12.5"]))
        assert parsed[one.name] == 12.5


@given(daily, daily)
def test_more_users_never_need_less(one: int, other: int) -> None:
    few, many = (needs(number, Inputs()) for number in sorted((one, other)))
    assert [name for name, value in COUNTED.items() if value(few) > value(many)] == []


def test_each_input_is_tested() -> None:
    assert RAISES.keys() | LOWERS.keys() | ELSEWHERE == {one.name for one in fields(Inputs)}


@pytest.mark.parametrize("name", [*RAISES, *LOWERS])
def test_input_changes_what_it_is_about_and_nothing_in_the_wrong_direction(name: str) -> None:
    more = replace(HALF, **{name: getattr(HALF, name) * 2})
    low, high = (needs(MANY, one) for one in (HALF, more))
    if name in LOWERS:
        low, high = high, low
    risen = {what for what, value in COUNTED.items() if value(high) > value(low)}
    assert risen >= (RAISES | LOWERS)[name]
    if name not in {"writes", "unchanged", "machine"}:  # these have another side: fewer reads, larger spare machines
        assert [what for what, value in COUNTED.items() if value(high) < value(low)] == []


@given(daily, st.floats(0.01, 0.9), st.floats(0.01, 0.09))
def test_a_fleet_is_large_enough_for_its_load(number: int, unchanged: float, writes: float) -> None:
    inputs = Inputs(unchanged=unchanged, writes=writes)
    found = needs(number, inputs)
    busy = found.peak * inputs.mean(inputs.app_unchanged, inputs.app_read, inputs.app_write) / 1e6
    assert busy <= found.workers * inputs.busy * (1 + 1e-9)
    assert found.workers <= (found.machines - inputs.spare) * inputs.machine
    assert max(found.processor, found.memory) <= found.primaries * found.compute * (1 + 1e-9)
    assert found.storage <= found.primaries * inputs.largest_storage


@pytest.mark.parametrize(
    ("inputs", "what"),
    [
        (Inputs(), "memory"),
        (Inputs(cached=0.001), "processors"),
        (Inputs(cached=0, largest_storage=10), "storage"),
        (Inputs(largest=8), "memory"),
    ],
)
def test_one_primary_ends_where_the_first_of_its_limits_is_reached(inputs: Inputs, what: str) -> None:
    most, named = end_of_one_primary(inputs)
    assert named == what
    assert needs(most * 0.999, inputs).primaries == 1
    assert needs(most * 1.001, inputs).primaries == 2


@given(st.floats(0, 1000))
def test_compute_is_the_smallest_size_that_is_enough(units: float) -> None:
    sizes = [SMALLEST, 0.5, *range(1, 1001)]
    assert size(units) == next(one for one in sizes if one >= units)


def test_a_compute_that_follows_the_load_is_paid_for_what_it_uses_and_a_fixed_one_for_its_size() -> None:
    small, large = Inputs(cached=0), Inputs(cached=0, autoscaled=0)
    found = needs(MANY // 25, small)
    assert found.dollars["compute"] == pytest.approx(found.processor / small.peak * 730 * small.price_compute)
    fixed = needs(MANY // 25, large).dollars["compute"]
    assert fixed == pytest.approx(found.compute * 730 * large.price_large)


def test_nobody_pays_for_less_than_the_smallest_compute_or_for_transfer_that_is_free() -> None:
    found = needs(1, Inputs())
    assert found.dollars["compute"] == pytest.approx(SMALLEST * 730 * Inputs().price_compute)
    assert found.dollars["transfer"] == 0

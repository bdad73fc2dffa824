"""Medians of the rounds, and ratios as medians of the ratios within each round."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import Struct, convert

from tests.load.bench.contenders import OURS
from tests.load.bench.measure import Cell

FIGURES: Final = ("throughput", "p50", "p99", "application_cpu", "postgresql_cpu", "resident")


class Summary(Struct, frozen=True):
    """Medians over the rounds of one contender at one work item; `error` is that of the first round that had one."""

    work: str
    contender: str
    throughput: float
    p50: float
    p99: float
    application_cpu: float
    postgresql_cpu: float
    resident: float
    error: str | None


class Ratio(Struct, frozen=True):
    """One of our contenders against another: throughput (more is better) and p50 (less is better)."""

    work: str
    contender: str
    against: str
    throughput: float
    lowest: float
    highest: float
    p50: float


class Results(Struct, frozen=True):
    """All that a run found out; the JSON file."""

    machine: dict[str, Any]
    options: dict[str, Any]
    contenders: dict[str, str]
    work: dict[str, str]
    summaries: list[Summary]
    ratios: list[Ratio]
    cells: list[Cell]


def summaries(cells: Sequence[Cell]) -> list[Summary]:
    """Summarize each work item and contender, in the order they were first measured."""
    found = []
    for work, contender in dict.fromkeys((cell.work, cell.contender) for cell in cells):
        rounds = _of(cells, work, contender)
        medians = {name: statistics.median(getattr(cell, name) for cell in rounds) for name in FIGURES}
        error = next((cell.error for cell in rounds if cell.error), None)
        found.append(convert({"work": work, "contender": contender, "error": error, **medians}, Summary))
    return found


def ratios(cells: Sequence[Cell]) -> list[Ratio]:
    """Compare ours, in each of its forms, with everybody else."""
    found = []
    pairs = dict.fromkeys((cell.work, cell.contender) for cell in cells)
    for work, contender in pairs:
        for other_work, other in pairs:
            if not contender.startswith(OURS) or work != other_work or contender == other:
                continue
            both = list(zip(_of(cells, work, contender), _of(cells, work, other), strict=True))
            if any(cell.error for pair in both for cell in pair):
                continue
            throughput = _within(both, lambda cell: cell.throughput)
            found.append(
                Ratio(
                    work,
                    contender,
                    other,
                    statistics.median(throughput),
                    min(throughput),
                    max(throughput),
                    statistics.median(_within(both, lambda cell: cell.p50)),
                )
            )
    return found


def _of(cells: Sequence[Cell], work: str, contender: str) -> list[Cell]:
    return [cell for cell in cells if (cell.work, cell.contender) == (work, contender)]


def _within(both: Sequence[tuple[Cell, Cell]], figure: Callable[[Cell], float]) -> list[float]:
    return [figure(one) / figure(other) for one, other in both]

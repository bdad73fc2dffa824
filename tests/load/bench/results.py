"""What a run finds out: medians of the rounds, and ratios as medians of the ratios within each round."""

import statistics
from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec import Struct, convert

from tests.load.bench.contenders import OURS

FIGURES: Final = ("throughput", "p50", "p99", "p999", "application_cpu", "postgresql_cpu", "resident")


class Cell(Struct, frozen=True, kw_only=True):
    """One measurement: requests per second, milliseconds, microseconds of processor time per request, MiB."""

    round: int
    work: str
    contender: str
    percent: int | None = None
    """The share of its maximum that the contender was asked for; None where it was asked for all it can answer."""

    rate: float | None = None
    """The same share in requests per second."""

    requests: int = 0
    throughput: float = 0
    p50: float = 0
    p99: float = 0
    p999: float | None = None
    """None where there were too few requests for it."""

    application_cpu: float = 0
    postgresql_cpu: float = 0
    resident: float = 0
    error: str | None = None


class Summary(Struct, frozen=True):
    """Medians over the rounds of one contender at one work item; `error` is that of the first round that had one."""

    work: str
    contender: str
    percent: int | None
    rate: float | None
    throughput: float
    p50: float
    p99: float
    p999: float | None
    application_cpu: float
    postgresql_cpu: float
    resident: float
    error: str | None


class Ratio(Struct, frozen=True):
    """One of our contenders against another: throughput (more is better), p50 and processor time (less is better)."""

    work: str
    contender: str
    against: str
    throughput: float
    lowest: float
    highest: float
    p50: float
    application_cpu: float | None
    """None where too little was used to be counted."""


class Results(Struct, frozen=True):
    """All that a run found out; the JSON file."""

    machine: dict[str, Any]
    options: dict[str, Any]
    contenders: dict[str, str]
    work: dict[str, str]
    notes: dict[str, str]
    """What is to be said about the work of some contenders, by work item."""

    summaries: list[Summary]
    ratios: list[Ratio]
    cells: list[Cell]


def summaries(cells: Sequence[Cell]) -> list[Summary]:
    """Summarize each contender at each work item and percentage, in the order they were first measured."""
    found = []
    for work, contender, percent in dict.fromkeys((cell.work, cell.contender, cell.percent) for cell in cells):
        rounds = _of(cells, work, contender, percent)
        same = {"work": work, "contender": contender, "percent": percent, "rate": rounds[0].rate}
        medians = {name: _median([getattr(cell, name) for cell in rounds]) for name in FIGURES}
        error = next((cell.error for cell in rounds if cell.error), None)
        found.append(convert({**same, **medians, "error": error}, Summary))
    return found


def ratios(cells: Sequence[Cell]) -> list[Ratio]:
    """Compare ours, in each of its forms, with everybody else, where all were asked for all they can."""
    found = []
    for work, contender, other in _pairs(cells):
        both = list(zip(_of(cells, work, contender), _of(cells, work, other), strict=True))
        if any(cell.error for pair in both for cell in pair):
            continue
        throughput = [one.throughput / against.throughput for one, against in both]
        ratio = Ratio(
            work,
            contender,
            other,
            throughput=statistics.median(throughput),
            lowest=min(throughput),
            highest=max(throughput),
            p50=statistics.median(one.p50 / against.p50 for one, against in both),
            application_cpu=_median(
                [
                    one.application_cpu / against.application_cpu if against.application_cpu else None
                    for one, against in both
                ]
            ),
        )
        found.append(ratio)
    return found


def _pairs(cells: Sequence[Cell]) -> Iterator[tuple[str, str, str]]:
    measured = dict.fromkeys((cell.work, cell.contender) for cell in cells)
    for work, contender in measured:
        for other_work, other in measured:
            if contender.startswith(OURS) and work == other_work and contender != other:
                yield work, contender, other


def _of(cells: Sequence[Cell], work: str, contender: str, percent: int | None = None) -> list[Cell]:
    return [cell for cell in cells if (cell.work, cell.contender, cell.percent) == (work, contender, percent)]


def _median(figures: Sequence[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return statistics.median(known) if len(known) == len(figures) else None

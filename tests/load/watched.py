"""What it costs a request to be watched: everything on but traces against everything off, or traces against none.

Everything but the server and the database is as in service: the statement's turn and its execution are real, only the
connection and the answer are not. Run it with `python -m tests.load.own_code --metrics`, or `--traces 0.01`.
"""

import gc
import os
import statistics
import tempfile
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from app.asgi import create_app
from app.auth.mint import mint
from app.db.attempts import Attempts
from app.db.observation import Execution
from app.db.statement import Statement
from tests.load.own_code import REVISION, USER, WARM_UP, Case, Row, answer, headers_with, settings_for_nothing


async def ask(lane: Any, statement: Statement, values: Mapping[str, Any], execution: Execution | None) -> Row:
    """Answer at once, and note what an attempt notes."""
    if execution is not None:
        execution.attempt()
    row = await answer(lane, statement, values)
    if execution is not None:
        execution.answered(row)
    return row


async def compare(rounds: int, requests: int, *, share: float | None = None) -> None:
    """Print the best round of each kind of request in both ways, and the median of their differences.

    With a `share` of requests that are traced, both are watched otherwise; nobody takes the spans.
    """
    Attempts.ask = ask  # type: ignore[method-assign, assignment]
    settings = settings_for_nothing()
    headers, path = headers_with(mint(settings, USER, 3600)), f"/api/{USER}/tasks"
    held = [*headers, (b"if-none-match", b'"%d"' % REVISION)]
    kinds = {
        "list, cached": (path, headers, 200),
        "list, If-None-Match": (path, held, 304),
        "one task": (f"{path}/1", headers, 200),
    }
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        watched = replace(settings, metrics_port=1, prometheus_multiproc_dir=folder)
        ways = (replace(settings, slow_query_ms=0), watched)
        if share is not None:
            os.environ |= {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": str(share)}
            ways = (watched, replace(watched, otel_exporter_otlp_endpoint="http://127.0.0.1:9"))
        off, on = map(create_app, ways)
        async with off.lifespan(), on.lifespan():
            pairs = {name: (Case(off, *what), Case(on, *what)) for name, what in kinds.items()}
            times: dict[str, list[tuple[float, float]]] = {name: [] for name in pairs}
            with Path("/dev/null").open("w") as nowhere, redirect_stdout(nowhere):  # noqa: ASYNC230 - logs go somewhere
                for pair in pairs.values():
                    for case in pair:
                        await case.run(WARM_UP)
                gc.collect()
                gc.freeze()  # as a worker does at its start
                for number in range(rounds):
                    for name, pair in pairs.items():
                        times[name].append(await _round(pair, requests, off_first=number % 2 == 0))
    click.echo(f"{'µs per request':<26}{'off':>8}{'on':>8}{'median difference':>20}")
    for name, taken in times.items():
        without, watched = (min(column) for column in zip(*taken, strict=True))
        difference = statistics.median(after - before for before, after in taken)
        click.echo(f"{name:<26}{without:>8.2f}{watched:>8.2f}{difference:>20.2f}")


async def _round(pair: tuple[Case, Case], requests: int, *, off_first: bool) -> tuple[float, float]:
    """Return the microseconds of both ways, taken in changing order."""
    off, on = pair
    if off_first:
        without = await off.microseconds(requests)
        return without, await on.microseconds(requests)
    watched = await on.microseconds(requests)
    return await off.microseconds(requests), watched

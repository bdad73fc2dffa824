"""What it costs a request to be watched: everything on but traces against everything off, or traces against none.

Everything but the server and the connection is as in service: the statement's turn and its attempt are real, only what
would go over the wire is not. Run it with `python -m tests.load.own_code --metrics`, or `--traces 0.01`.
"""

import gc
import os
import statistics
import tempfile
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, Self

import click
from asyncpg.prepared_stmt import PreparedStatement

from app.asgi import create_app
from app.auth.mint import mint
from app.db.connections import Connections
from tests.load.own_code import PAGE, REVISION, TASK, USER, WARM_UP, Case, Row, headers_with, settings_for_nothing

ARGUMENTS_OF_ONE: Final = 3
RUN: Final = 50
"""Requests of a kind in one way, one after the other."""


class Anything:
    """Knows every prepared statement."""

    def get(self, name: str) -> str:
        return name


class Lent:
    """A connection on which everything is prepared."""

    prepared = SimpleNamespace(statements=Anything(), generation=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


LENT: Final = Lent()


async def lease(_connections: Connections) -> Lent:
    return LENT


async def fetchrow(_prepared: str, *arguments: Any) -> Row:
    """Answer as `own_code.answer` does."""
    if [REVISION] in arguments:
        return Row((REVISION, None))
    return Row((REVISION, TASK if len(arguments) == ARGUMENTS_OF_ONE else [PAGE, None]))


async def compare(rounds: int, requests: int, *, share: float | None = None) -> None:
    """Print the best run of each kind of request in both ways, and the median of their differences.

    A run is so short, and followed by one of the other way, that whatever else the machine does meets both alike.
    With a `share` of requests that are traced, both are watched otherwise; nobody takes the spans.
    """
    Connections.lease = lease  # type: ignore[method-assign, assignment]
    PreparedStatement.fetchrow = fetchrow
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
                for number in range(rounds * -(-requests // RUN)):
                    for name, pair in pairs.items():
                        times[name].append(await _runs(pair, off_first=number % 2 == 0))
    click.echo(f"{'µs per request':<26}{'off':>8}{'on':>8}{'median difference':>20}")
    for name, taken in times.items():
        without, watched = (min(column) for column in zip(*taken, strict=True))
        difference = statistics.median(after - before for before, after in taken)
        click.echo(f"{name:<26}{without:>8.2f}{watched:>8.2f}{difference:>20.2f}")


async def _runs(pair: tuple[Case, Case], *, off_first: bool) -> tuple[float, float]:
    """Return the microseconds of both ways, taken in changing order."""
    off, on = pair
    if off_first:
        without = await off.microseconds(RUN)
        return without, await on.microseconds(RUN)
    watched = await on.microseconds(RUN)
    return await off.microseconds(RUN), watched

"""What our own middleware, handlers and responses cost per request: everything but the server and the database.

Run it with `python -m tests.load.own_code`; `--profile` adds where the time goes, and `--metrics` prints what being
watched costs instead. It needs no database.
"""

import cProfile
import pstats
import secrets
import statistics
import sys
import time
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click
import uvloop
from litestar import Litestar

from app.asgi import create_app
from app.auth.mint import mint
from app.db.database import Database
from app.db.statement import Statement
from app.settings import Settings
from app.tasks.aliases import own_address
from tests.conftest import NEVER_REACHED

USER: Final = "user"
REVISION: Final = 1795336200123456
TASK: Final = (
    '{"id":1,"uid":"1","user_id":"user","title":"Buy milk","description":"Two litres, the one with the blue cap",'
    '"priority":"MEDIUM","tags":["home"],"due_date":"2026-12-01T10:00:00+00:00","completed":false,'
    '"created_at":"2026-11-22T08:30:00.123456+00:00","updated_at":"2026-11-22T08:30:00.123456+00:00",'
    '"revision":1795336200123456}'
)
PAGE: Final = f"[{','.join([TASK] * 50)}]"
MICRO: Final = 1e6
WARM_UP: Final = 500


class Row(tuple[Any, ...]):
    """Stands in for a record of asyncpg, which nobody but asyncpg can make."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:
        return tuple.__getitem__(self, {"revision": 0, "body": 1, "contents": 1}.get(key, key))


async def answer(_lane: Database, _statement: Statement, values: Mapping[str, Any], **_options: Any) -> Row:
    """Answer as PostgreSQL would, at once: without a body where the caller holds the revision."""
    if REVISION in values["known"]:
        return Row((REVISION, None))
    return Row((REVISION, [PAGE, None] if "limit" in values else TASK))


def scope(path: str, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"limit=50",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }


class Case:
    """One kind of read request to one application."""

    def __init__(self, app: Litestar, path: str, headers: list[tuple[bytes, bytes]], status: int) -> None:
        self._app = app
        self._path = path
        self._headers = headers
        self._status = status
        self._seen = 0

    async def _receive(self) -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, message: Any) -> None:
        self._seen = message.get("status", self._seen)

    async def run(self, times: int) -> None:
        for _ in range(times):
            await self._app(scope(self._path, self._headers), self._receive, self._send)  # type: ignore[arg-type]
        assert self._seen == self._status

    async def microseconds(self, times: int) -> float:
        started = time.perf_counter()
        await self.run(times)
        return (time.perf_counter() - started) / times * MICRO


class OwnNames(Case):
    """What other names cost a request that uses none: a look at its path; a query string is read once for all."""

    async def run(self, times: int) -> None:
        for _ in range(times):
            assert own_address("GET", self._path) is None


def headers_with(token: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"host", b"127.0.0.1:8000"),
        (b"authorization", b"Bearer " + token.encode()),
        (b"user-agent", b"load"),
        (b"accept", b"application/json"),
    ]


def cases(app: Litestar, cold: Litestar, unlimited: Litestar, token: str) -> dict[str, Case]:
    headers = headers_with(token)
    held = [*headers, (b"if-none-match", b'"%d"' % REVISION)]
    path = f"/api/{USER}/tasks"
    return {
        "list, cached": Case(app, path, headers, 200),
        "list, cold": Case(cold, path, headers, 200),
        "list, If-None-Match": Case(app, path, held, 304),
        "one task": Case(app, f"{path}/1", headers, 200),
        "one task, no rate limits": Case(unlimited, f"{path}/1", headers, 200),
        "one task, If-None-Match": Case(app, f"{path}/1", held, 304),
        "list by another path": Case(app, "/api/v1/tasks", headers, 200),
        "a path of our own": OwnNames(app, path, headers, 200),
    }


def settings_for_nothing() -> Settings:
    return Settings(
        database_url="postgresql://localhost/none",
        better_auth_secret=secrets.token_urlsafe(32),
        rate_limit=NEVER_REACHED,
    )


async def measure(rounds: int, requests: int, *, profile: bool) -> None:
    settings = settings_for_nothing()
    app, cold = create_app(settings), create_app(replace(settings, list_cache_bytes=0))
    unlimited = create_app(replace(settings, rate_limit=None, rate_limit_writes=None))
    async with app.lifespan(), cold.lifespan(), unlimited.lifespan():
        found = cases(app, cold, unlimited, mint(settings, USER, 3600))
        times: dict[str, list[float]] = {name: [] for name in found}
        with Path("/dev/null").open("w") as nowhere, redirect_stdout(nowhere):  # noqa: ASYNC230 - logs go somewhere
            for case in found.values():
                await case.run(WARM_UP)
            for _ in range(rounds):
                for name, case in found.items():
                    times[name].append(await case.microseconds(requests))
            profiles = {name: await profiled(case, requests) for name, case in found.items()} if profile else {}
    click.echo(f"{'µs per request':<26}{'best':>8}{'median':>8}")
    for name, rounds_of_it in times.items():
        click.echo(f"{name:<26}{min(rounds_of_it):>8.2f}{statistics.median(rounds_of_it):>8.2f}")
    for name, one in profiles.items():
        click.echo(f"\n{name}")
        pstats.Stats(one, stream=sys.stdout).strip_dirs().sort_stats("tottime").print_stats(25)


async def profiled(case: Case, requests: int) -> cProfile.Profile:
    profile = cProfile.Profile()
    with profile:
        await case.run(requests)
    return profile


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=15, show_default=True)
@click.option("--requests", type=click.IntRange(1), default=2000, show_default=True, help="Of each kind and round.")
@click.option("--profile", is_flag=True, help="Print the functions that take the longest.")
@click.option("--metrics", is_flag=True, help="Compare with metrics and the log of slow statements instead.")
@click.option("--traces", type=click.FloatRange(0, 1), help="Compare with this share of requests traced instead.")
def main(rounds: int, requests: int, *, profile: bool, metrics: bool, traces: float | None) -> None:
    """Print the best and the median round of each kind of read request."""
    if metrics or traces is not None:
        from tests.load import watched  # noqa: PLC0415 - which imports this file

        uvloop.run(watched.compare(rounds, requests, share=traces))
        return
    Database.fetch = answer  # type: ignore[method-assign, assignment]
    uvloop.run(measure(rounds, requests, profile=profile))


if __name__ == "__main__":
    main()

"""Direct dispatch answers every request as Litestar does: the same status, headers, bytes, statements and log lines."""

import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product, repeat
from typing import Any, Final

import hypothesis
import jwt
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from litestar import Litestar, get
from litestar.params import FromPath
from msgspec import json, structs

from app import logs
from app.asgi import create_app
from app.auth.mint import mint
from app.db.database import Database
from app.db.failures import AnswerLost, QueueFull
from app.db.statement import Statement
from app.http import dispatch, exchange
from app.http.answers import JSONResponse
from app.http.body import StrictRequest
from app.http.dispatch import Table
from app.logs import AccessLine
from app.quotas import Limit
from app.ratelimit import memory
from app.settings import Settings
from tests.conftest import ORIGIN
from tests.http.requests import (
    CREATE,
    LIST_OF_ANOTHER_ORIGIN,
    METHODS,
    PREFLIGHT,
    STALE,
    TOO_LARGE,
    Request,
    requests,
)

EXAMPLES: Final = int(os.environ.get("DISPATCH_EXAMPLES", "2500"))
ALL_VARIATIONS: Final = "DISPATCH_EXAMPLES" in os.environ
"""In a long run each request is compared with every method and every outcome."""

USER: Final = "someone"
REVISION: Final = 5
DIRECT: Final = {
    "GET /",
    "GET /health",
    "GET /api/{user_id}",
    "DELETE /api/{user_id}",
    "GET /api/{user_id}/events",
    "GET /api/{user_id}/stats",
    "GET /api/{user_id}/tasks",
    "POST /api/{user_id}/tasks",
    "GET /api/{user_id}/tasks/changes",
    "POST /api/{user_id}/tasks/batch",
    "GET /api/{user_id}/tasks/{task_id}",
    "PATCH /api/{user_id}/tasks/{task_id}",
    "PUT /api/{user_id}/tasks/{task_id}",
    "DELETE /api/{user_id}/tasks/{task_id}",
    "PATCH /api/{user_id}/tasks/{task_id}/complete",
    "POST /api/{user_id}/tasks/{task_id}/restore",
}


class Row(dict[str, Any]):
    """Stands in for a record: by name, by position, and to be unpacked."""

    def __getitem__(self, key: Any) -> Any:
        return list(self.values())[key] if isinstance(key, int) else super().__getitem__(key)

    def __iter__(self) -> Any:
        return iter(self.values())


def found(values: Mapping[str, Any]) -> Row:
    """What PostgreSQL would answer where everything exists."""
    if "email" in values or not {"known", "task_id", "title"} & values.keys():
        return Row(text='{"total":1}')
    known = REVISION in values.get("known", ())
    if "limit" in values:
        return Row(
            revision=REVISION, contents=None if known else ['[{"id":1}]', "[5,1]" if values["limit"] == 1 else None]
        )
    if "known" in values:
        return Row(revision=REVISION, body=None if known else '{"id":1}')
    stale = values.get("if_match") is not None and REVISION not in values["if_match"]
    return Row(revision=None if stale else REVISION, body='{"id":1}', present=stale, id=1)


def missing(statement: Statement, values: Mapping[str, Any]) -> Row | None:
    """What it would answer for a user who has nothing."""
    if statement.writes and "task_id" in values:
        return Row(revision=None, body=None, present=False)
    return None if "known" in values else found(values)


FAILURES: Final = [
    QueueFull(),
    AnswerLost(),
    TimeoutError(),
    ConnectionResetError(),
    ZeroDivisionError("a bug of ours"),
]


OUTCOMES: Final[list[str | Exception]] = ["found", "missing", *FAILURES]
STATUSES: Final = {200, 201, 204, 304, 400, 401, 403, 404, 405, 412, 413, 415, 422, 500, 503}
EPOCH: Final = datetime.fromtimestamp(0, UTC)


class World:
    """A database that answers by `outcome`, and what was asked of it and logged since the last look."""

    def __init__(self) -> None:
        self.outcome: str | Exception = "found"
        self.asked: list[Any] = []
        self.lines: list[AccessLine] = []

    def fetch_of(self, _database: Database) -> Any:
        """Stand in for the method of a database."""

        async def fetch(statement: Statement, values: Mapping[str, Any]) -> Row | None:
            self.asked.append((statement.sql, {**values}))
            if isinstance(self.outcome, Exception):
                raise self.outcome
            return found(values) if self.outcome == "found" else missing(statement, values)

        return fetch

    def log(self, line: AccessLine) -> None:
        self.lines.append(structs.replace(line, duration_ms=0, timestamp=EPOCH))

    def take(self) -> tuple[list[Any], list[Any]]:
        """What happened: statements, and log lines without what differs between any two requests."""
        taken = (self.asked, self.lines)
        self.asked, self.lines = [], []
        return taken


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
async def both(configured: Settings, world: World) -> AsyncIterator[tuple[Litestar, Litestar]]:
    """The application with direct dispatch, and without it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "fetch", property(world.fetch_of))
        patch.setattr(logs, "access", lambda _: world.log)
        patch.setattr(memory, "monotonic", lambda: 1000.0)
        patch.setattr(exchange, "REQUEST_IDS", repeat("0123456789abcdef"))
        direct = create_app(replace(configured, direct_dispatch=True))
        reference = create_app(replace(configured, direct_dispatch=False))
        async with direct.lifespan(), reference.lifespan():
            yield direct, reference


@pytest.fixture(scope="module")
def configured(settings: Settings) -> Settings:
    return replace(settings, list_cache_bytes=0, cors_origins=(ORIGIN, "https://*.example.com"))


@pytest.fixture(scope="module")
def tokens(configured: Settings) -> dict[bytes, bytes]:
    foreign = replace(configured, better_auth_secret="kD7zQ0pXw3rT9uLmB5nV8cYhJ2fGsE4a")
    return {
        b"GOOD": mint(configured, USER, 3600).encode(),
        b"FOREIGN": mint(foreign, USER, 3600).encode(),
        b"EXPIRED": mint(configured, USER, -1).encode(),
        b"READING": scoped(configured, "tasks:read"),
        b"NOTHING": scoped(configured, "openid"),
    }


def scoped(configured: Settings, scope: str) -> bytes:
    """Sign the token of an OAuth client."""
    claims = {"sub": USER, "exp": int(time.time()) + 3600, "scope": scope}
    return jwt.encode(claims, configured.better_auth_secret).encode()


@pytest.fixture(scope="module")
def served() -> Iterator[Counter[int]]:
    """The answers that were compared, by status; at the end all statuses have to be among them."""
    served: Counter[int] = Counter()
    yield served
    assert served.keys() >= STATUSES
    if ALL_VARIATIONS:
        sys.__stdout__.write(f"{served.total()} answers compared: {dict(sorted(served.items()))}\n")  # type: ignore[union-attr]


async def answer(app: Any, scope: dict[str, Any], messages: list[Any]) -> Any:
    """Status, headers in any order and body, or what was raised."""
    waiting = iter(messages)
    sent: list[Any] = []

    async def receive() -> Any:
        return next(waiting)

    async def send(message: Any) -> None:
        sent.append(message)

    try:
        await app(scope, receive, send)
    except Exception as error:  # noqa: BLE001 - to be compared
        return type(error), str(error), sent
    [start, *bodies] = sent
    headers = sorted((name.lower(), value) for name, value in start["headers"])
    return start["status"], headers, b"".join(message["body"] for message in bodies)


def one_of_each(test: Any) -> Any:
    """Let the test begin with a request for every status, so that none is left to chance."""
    certain: list[tuple[Request, str | Exception]] = [
        (LIST_OF_ANOTHER_ORIGIN, "found"),
        (CREATE, "found"),
        (structs.replace(CREATE, method="DELETE", path="/api/me/tasks/1"), "found"),
        (structs.replace(LIST_OF_ANOTHER_ORIGIN, headers=[*CREATE.headers, (b"if-none-match", b'"5"')]), "found"),
        (structs.replace(CREATE, parts=(b"{",)), "found"),
        (structs.replace(CREATE, headers=[]), "found"),
        (structs.replace(CREATE, path="/api/somebody-else/tasks"), "found"),
        (structs.replace(CREATE, headers=[(b"authorization", b"Bearer READING")]), "found"),
        (structs.replace(LIST_OF_ANOTHER_ORIGIN, headers=[(b"authorization", b"Bearer NOTHING")]), "found"),
        (
            structs.replace(CREATE, method="DELETE", path="/api/me", headers=[(b"authorization", b"Bearer READING")]),
            "found",
        ),
        (structs.replace(CREATE, path="/nowhere"), "found"),
        (structs.replace(CREATE, method="BREW"), "found"),
        (PREFLIGHT, "found"),
        (STALE, "found"),
        (TOO_LARGE, "found"),
        (structs.replace(CREATE, headers=CREATE.headers[:1]), "found"),
        (structs.replace(CREATE, parts=(b"{}",)), "found"),
        (LIST_OF_ANOTHER_ORIGIN, FAILURES[-1]),
        (LIST_OF_ANOTHER_ORIGIN, FAILURES[0]),
    ]
    for request_, outcome in certain:
        test = hypothesis.example(request_=request_, outcome=outcome)(test)
    return test


@hypothesis.settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@one_of_each
@given(request_=requests(), outcome=st.sampled_from(["found"] * 6 + OUTCOMES))
async def test_every_request_is_answered_as_litestar_answers_it(
    both: tuple[Litestar, Litestar],
    world: World,
    tokens: dict[bytes, bytes],
    served: Counter[int],
    request_: Request,
    outcome: str | Exception,
) -> None:
    direct, reference = both
    variations = product(METHODS, OUTCOMES) if ALL_VARIATIONS else [(request_.method, outcome)]
    for method, world.outcome in variations:
        asked = structs.replace(request_, method=method)
        expected = await answer(reference, asked.scope(tokens), asked.messages()), world.take()
        assert (await answer(direct, asked.scope(tokens), asked.messages()), world.take()) == expected
        served[expected[0][0]] += 1


def test_every_route_with_data_is_called_directly_and_the_rest_is_left_to_litestar(
    both: tuple[Litestar, Litestar],
) -> None:
    direct, _ = both
    assert {f"{method} {path}" for method, path in Table(direct, check).routes()} == DIRECT


async def test_limits_are_the_same_for_direct_calls_and_for_litestar(
    configured: Settings, world: World, tokens: dict[bytes, bytes], both: tuple[Litestar, Litestar]
) -> None:
    del both  # has put the world in place
    world.outcome = "found"
    few = replace(
        configured, rate_limit=Limit(4, 60), rate_limit_writes=Limit(2, 60), rate_limit_failed_auth=Limit(1, 60)
    )
    direct, reference = (create_app(replace(few, direct_dispatch=way)) for way in (True, False))
    asked = [
        *[(CREATE, 201)] * 2,
        (CREATE, 429),
        (LIST_OF_ANOTHER_ORIGIN, 200),
        *[(structs.replace(LIST_OF_ANOTHER_ORIGIN, method="HEAD"), 429)] * 2,
        (structs.replace(CREATE, path="/api/somebody-else/tasks"), 429),
        (structs.replace(CREATE, method="OPTIONS"), 204),
        (structs.replace(LIST_OF_ANOTHER_ORIGIN, path="/health"), 200),
        (structs.replace(CREATE, headers=[]), 401),
        *[(structs.replace(CREATE, headers=[]), 429)] * 2,
    ]
    for request, status in asked:
        expected = await answer(reference, request.scope(tokens), request.messages()), world.take()
        assert expected[0][0] == status
        assert (await answer(direct, request.scope(tokens), request.messages()), world.take()) == expected
        assert bool(expected[1][0]) == (status in {200, 201} and request.path != "/health")


async def check(scope: Any) -> None:
    """Let everybody in."""


@get("/api/{user_id:str}/new")
async def new(user_id: FromPath[str], request: StrictRequest[Any]) -> JSONResponse[list[str]]:
    return JSONResponse(json.encode([user_id, request.headers["host"]]))


@get("/api/{user_id:str}/layered", before_request=check)
async def layered(user_id: FromPath[str]) -> JSONResponse[str]:
    return JSONResponse(json.encode(user_id))


@get("/api/{user_id:str}/other")
async def other(user_id: FromPath[str]) -> str:
    return user_id


async def test_a_new_route_is_called_directly_once_it_is_written_and_one_with_layers_of_its_own_is_not() -> None:
    app = Litestar([new, layered, other], request_class=StrictRequest, openapi_config=None)
    table = Table(app, check)
    assert set(table.routes()) == {("GET", "/api/{user_id}/new")}
    scope = Request("GET", "/api/ada/new/", b"", [(b"host", b"localhost")], (), leaves=False).scope({})
    scope["state"] = {}
    call = table.find(scope)
    assert call is not None
    assert (await call(scope, check, check)).body == b'["ada","localhost"]'
    assert (scope["path"], scope["path_template"]) == ("/api/ada/new", "/api/{user_id}/new")


async def test_what_is_remembered_of_paths_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "REMEMBERED", 3)
    table = Table(Litestar([new], request_class=StrictRequest, openapi_config=None), check)
    for path in ("/api/a/new", "/api/b/new", "/api/c/new", f"/api/{'x' * 300}/new", "/api/d/new"):
        for _ in range(2):
            scope = Request("GET", path, b"", [], (), leaves=False).scope({})
            assert table.find(scope) is not None
            assert scope["path_params"] == {"user_id": path.split("/")[2]}
    assert set(vars(table)["_found"]) == {"/api/d/new"}

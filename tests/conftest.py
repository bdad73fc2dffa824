import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import hypothesis
import pytest
from litestar import Litestar
from xdist.scheduler import LoadFileScheduling

from app.asgi import create_app
from app.auth.mint import mint
from app.db import migrations
from app.development import postgres
from app.quotas import Limit
from app.settings import Settings

FOLDER = Path(".dev") / "tests" / os.environ.get("PYTEST_XDIST_WORKER", "alone")
ORIGIN = "https://app.example.org"
NEVER_REACHED = Limit(100_000_000, 60)

hypothesis.settings.register_profile("long", max_examples=5000)

STREAM = "/api/{user_id}/events"
"""The route whose answer has no end, for tests that ask all routes and wait for their answers."""

SENSITIVE: set[str] = set()
"""Every secret and token that the fixtures below hand out."""


TOGETHER = (
    ("tests/auth/better_auth/",),
    ("tests/frontend/",),
    ("tests/load/",),
    ("tests/web/",),
    ("tests/sync/",),
    ("tests/db/test_plans.py", "tests/tasks/test_single_shard.py"),
)
"""Folders and files whose tests install or make something once, share a server, or would load the machine for each
other.
"""


LONG = (
    *(
        "tests/load/",
        "tests/auth/better_auth/",
        "tests/frontend/",
        "tests/web/",
        "tests/clients/",
        "tests/docs/",
        "tests/operations/",
    ),
    *("tests/test_start.py", "tests/test_schemathesis.py", "tests/db/test_plans.py", "tests/http/test_dispatch.py"),
    *("tests/ratelimit/test_shared.py", "tests/documents/"),
)
"""Where few tests take long, in the order in which they begin: before all others, so that neither process waits for the
other at the end.
"""


class Scheduling(LoadFileScheduling):  # type: ignore[misc]  # it ships no type information
    """Keeps on one process what shares something that takes long to start: the tests of a file, or of several."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return next((places[0] for places in TOGETHER if file.startswith(places)), file)

    def _assign_work_unit(self, node: Any) -> None:
        first = next((scope for place in LONG for scope in self.workqueue if scope.startswith(place)), None)
        if first is not None:
            self.workqueue.move_to_end(first, last=False)
        super()._assign_work_unit(node)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test in whose log, at whatever level, a secret or a token stands."""
    report = yield
    if call.when == "teardown":
        logged = report.capstdout + report.capstderr + report.caplog
        if any(text in logged for text in SENSITIVE):
            report.outcome = "failed"
            report.longrepr = "A secret or a token stands in what this test logged."
    return report


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def one_tls_context() -> Iterator[None]:
    """Let all clients of the tests share one: each would read the list of certificate authorities, some 20 ms long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("httpx._transports.default.create_ssl_context", cache(httpx.create_ssl_context))
        yield


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The embedded server of the tests, apart from the one of development.

    It need not survive an outage of power, for which every commit and every dropped database waits for the disk.
    """
    with postgres.running(FOLDER) as url:
        asyncio.run(execute(url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"))
        yield url


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def create_database(postgres_url: str) -> Iterator[Callable[[], str]]:
    """Make empty databases, dropped when the session ends."""
    made: list[str] = []

    def create() -> str:
        name = f"t{secrets.token_hex(8)}"
        asyncio.run(execute(postgres_url, f"CREATE DATABASE {name}"))
        made.append(name)
        return postgres_url.replace("/postgres?", f"/{name}?")

    yield create
    asyncio.run(execute(postgres_url, *(f"DROP DATABASE {name} WITH (FORCE)" for name in made)))


@pytest.fixture(scope="session")
def settings(create_database: Callable[[], str]) -> Settings:
    """Settings on a database that the migrations built."""
    settings = Settings(
        database_url=create_database(),
        better_auth_secret=secrets.token_urlsafe(32),
        cors_origins=(ORIGIN,),
        database_pool_size=20,
        rate_limit=NEVER_REACHED,
        rate_limit_writes=NEVER_REACHED,
        rate_limit_failed_auth=NEVER_REACHED,
    )
    SENSITIVE.add(settings.better_auth_secret)
    migrations.upgrade(settings)
    return settings


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Litestar]:
    app = create_app(settings)
    async with app.lifespan():
        yield app


@pytest.fixture(scope="session")
async def app(settings: Settings) -> AsyncIterator[Litestar]:
    async with running(settings) as app:
        yield app


def client_of(app: Litestar, settings: Settings, user_id: str, seconds: int = 3600) -> httpx.AsyncClient:
    token = mint(settings, user_id, seconds)
    SENSITIVE.add(token)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app),  # type: ignore[arg-type]  # Litestar's scopes are TypedDicts
        base_url="http://testserver",
        headers={"Authorization": f"Bearer {token}"},
    )


def random_user() -> str:
    return f"u{secrets.token_hex(12)}"


@pytest.fixture
def user_id() -> str:
    return random_user()


@pytest.fixture
async def client(app: Litestar, settings: Settings, user_id: str) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks for a user whom nobody has seen before."""
    async with client_of(app, settings, user_id) as client:
        yield client


@pytest.fixture
async def other(app: Litestar, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks for a second user."""
    async with client_of(app, settings, random_user()) as client:
        yield client


@pytest.fixture
async def anonymous(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # Litestar's scopes are TypedDicts
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        yield client


@pytest.fixture
async def connection(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A connection beside the application's, to look at what it stored and to get in its way."""
    connection = await asyncpg.connect(settings.database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def without_cache(settings: Settings, user_id: str) -> AsyncIterator[httpx.AsyncClient]:
    """The same user on a second instance of the application that has no list cache."""
    bare = replace(settings, list_cache_bytes=0)
    async with running(bare) as app, client_of(app, bare, user_id) as client:
        yield client


@pytest.fixture
def next_page() -> Callable[[httpx.Response], str | None]:
    """The address in a response's Link header, relation next."""

    def read(response: httpx.Response) -> str | None:
        link = response.links.get("next")
        return link["url"] if link else None

    return read

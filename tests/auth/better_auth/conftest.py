import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest

from app.db import migrations
from app.settings import Settings
from tests.auth.better_auth import issuer
from tests.auth.better_auth.issuer import Account, Issuer, Runner
from tests.conftest import running

TASKS = "/api/me/tasks"

BetterAuth = Callable[..., Awaitable[Issuer]]


@pytest.fixture(scope="session")
def installed() -> None:
    """Better Auth from its lock file; in CI its absence is a failure."""
    try:
        issuer.install()
    except issuer.UnusableNodeError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"Better Auth cannot run: {error}")


@pytest.fixture(scope="session")
async def runner(installed: None) -> AsyncIterator[Runner]:  # noqa: ARG001 - has to be there first
    async with issuer.running() as runner:
        yield runner


@pytest.fixture
async def better_auth(runner: Runner) -> AsyncIterator[BetterAuth]:
    """Start Better Auth servers that end with the test."""
    started: list[Issuer] = []

    async def start(**config: Any) -> Issuer:
        started.append(await runner.start(config))
        return started[-1]

    yield start
    for one in started:
        await one.stop()


@asynccontextmanager
async def api(settings: Settings, **changes: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Run the service with changed settings and without the tests' own secret."""
    async with running(replace(settings, **{"better_auth_secret": "", **changes})) as app:
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # Litestar's scopes are TypedDicts
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            yield client


async def ask(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.get(TASKS, headers={"Authorization": f"Bearer {token}"})


async def assert_refused(client: httpx.AsyncClient, token: str) -> None:
    response = await ask(client, token)
    assert (response.status_code, response.json()["code"]) == (401, "unauthorized")
    assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


async def assert_accepted(client: httpx.AsyncClient, token: str, account: Account) -> None:
    """The token writes and reads tasks of that user."""
    headers = {"Authorization": f"Bearer {token}"}
    created = await client.post(TASKS, headers=headers, json={"title": "Buy milk"})
    assert (created.status_code, created.json().get("user_id")) == (201, account.id)
    listed = await client.get(f"/api/{account.id}/tasks", headers=headers)
    assert created.json() in listed.json()


def claims_of(token: str) -> dict[str, Any]:
    """What a token says, believed without a look at its signature."""
    return jwt.decode(token, options={"verify_signature": False})


class Clock(SimpleNamespace):
    """Stands in for the module `time` in the application's authentication; everybody else keeps the real one."""

    def __init__(self) -> None:
        super().__init__(
            ahead=0.0,
            time=lambda: time.time() + self.ahead,
            monotonic=lambda: time.monotonic() + self.ahead,
        )

    def advance(self, seconds: float) -> None:
        self.ahead += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    readers = [
        name
        for name, module in sys.modules.items()
        if name.startswith("app.auth.") and vars(module).get("time") is time
    ]
    assert "app.auth.key_set" in readers
    for name in readers:
        monkeypatch.setattr(sys.modules[name], "time", clock)
    return clock


@pytest.fixture
def shared(create_database: Callable[[], str], settings: Settings) -> tuple[Settings, dict[str, Any]]:
    """Settings on a migrated database of its own, and where Better Auth finds the same one."""
    ours = replace(settings, database_url=create_database())
    migrations.upgrade(ours)
    parts = urlsplit(ours.database_url)
    (folder,) = parse_qs(parts.query)["host"]
    return ours, {"host": folder, "user": parts.username, "database": parts.path.removeprefix("/"), "max": 2}

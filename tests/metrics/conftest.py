import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.auth.mint import mint
from app.settings import Settings
from tests.conftest import SENSITIVE, random_user
from tests.metrics.scrapes import CLIENT, Scrape
from tests.processes import NEVER_LIMITED, Server, copied_project, free_port, until

DURATION = "tasks_http_request_duration_seconds"


@dataclass
class Watched:
    """A server whose metrics are at a port of their own."""

    server: Server
    port: int
    settings: Settings
    asked: int = 0
    """How many requests it got."""

    def scrape(self) -> Scrape:
        """Scrape when every request is counted; workers leave their numbers once a second."""
        until(lambda: Scrape.of(self.port).sum(f"{DURATION}_count") >= self.asked, 30)
        scrape = Scrape.of(self.port)  # what a worker leaves at once may have been half there
        assert scrape.sum(f"{DURATION}_count") == self.asked
        return scrape

    def user(self) -> dict[str, str]:
        """Headers of a user whom nobody has seen."""
        token = mint(self.settings, random_user(), 3600)
        SENSITIVE.add(token)
        return {"Authorization": f"Bearer {token}"}

    def ask(self, method: str, path: str, **options: object) -> httpx.Response:
        """Ask on a connection of its own, so that any worker may answer."""
        self.asked += 1
        return CLIENT.request(method, f"{self.server.url}{path}", **options)  # type: ignore[arg-type]  # httpx's own


def watched(folder: Path, settings: Settings, *, workers: int = 1, options: Sequence[str] = (), **more: str) -> Watched:
    port = free_port()
    variables = {
        "DATABASE_URL": settings.database_url,
        "BETTER_AUTH_SECRET": settings.better_auth_secret,
        "METRICS_PORT": str(port),
        "SHUTDOWN_DELAY": "0",
        **NEVER_LIMITED,
        **more,
    }
    server = Server(folder, port=None, workers=workers, options=options, **variables)
    return Watched(server.serving(), port, settings)


@pytest.fixture(scope="module")
def project() -> Iterator[Path]:
    with copied_project() as folder:
        yield folder


@pytest.fixture(scope="module")
def four(project: Path, settings: Settings) -> Watched:
    """A service of four workers."""
    return watched(project, settings, workers=4, DATABASE_POOL_SIZE="3")


@pytest.fixture(scope="module")
def one(project: Path, settings: Settings) -> Watched:
    """A service of one."""
    return watched(
        project, settings, RATE_LIMIT_FAILED_AUTH="5/minute", TRUSTED_PROXIES="127.0.0.1", MIGRATE_ON_START="true"
    )


@pytest.fixture
def title() -> str:
    """What no metric may say."""
    return f"title{secrets.token_hex(8)}"

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from app.development import postgres
from app.settings import Settings
from tests.conftest import execute
from tests.faults.cluster import Cluster
from tests.faults.scale import FULL, SHORT, Scale
from tests.faults.service import Service
from tests.processes import copied_project

FIGURES = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the faults at full length")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    figures = config.stash.get(FIGURES, [])
    if figures and config.getoption("--full", default=False):
        terminalreporter.section("figures")
        terminalreporter.write_line("\n".join(figures))


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Keep a line for the report that is printed at the end."""
    return request.config.stash.setdefault(FIGURES, []).append


@pytest.fixture(scope="session")
def scale(request: pytest.FixtureRequest) -> Scale:
    return FULL if request.config.getoption("--full", default=False) else SHORT


@pytest.fixture(scope="session")
def cluster(scale: Scale) -> Iterator[Cluster]:
    """A server apart from that of the other tests, for it does not fare well here.

    No fault is an outage of power, for which commits wait for the disk; where no figures count, they do not.
    """
    with copied_project() as project, postgres.running(project / ".dev") as url:
        if not scale.figures_count:
            asyncio.run(execute(url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"))
        yield Cluster(url, project / ".dev" / "postgres")


@pytest.fixture
def settings(cluster: Cluster) -> Settings:
    """Settings on a database of the test's own."""
    return cluster.database()


@pytest.fixture(scope="session")
async def standing(cluster: Cluster) -> AsyncIterator[Service]:
    """Two workers that outlive whatever the tests do to the database."""
    settings = await asyncio.to_thread(cluster.database)
    with copied_project() as folder:
        yield await Service(folder, settings, workers=2).start()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the service runs."""
    with copied_project() as folder:
        yield folder

import os
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from app.auth.mint import mint
from app.settings import Settings
from tests.auth.better_auth import issuer
from tests.clients.clients import CLIENTS, FOLDER, Client, Outcome, outcome, prepare, run
from tests.conftest import random_user
from tests.processes import Server, copied_project

STEPS: Final = [
    "create 201",
    "list 200",
    "unchanged 304",
    "update 200",
    "complete 200",
    "stale 412",
    "invalid 422",
    "delete 204",
    "missing 404",
    "batch 200",
    "refused 409",
]
WARNING: Final = re.compile("warn|error|deprecat", re.IGNORECASE)

each_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.program)


@pytest.fixture(scope="module")
def installed() -> None:
    """The npm packages from their lock file; in CI their absence is a failure."""
    try:
        issuer.install(FOLDER)
    except issuer.UnusableNodeError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"Generators of clients cannot run: {error}")


@pytest.fixture(scope="module")
def url(settings: Settings) -> Iterator[str]:
    with copied_project() as folder:
        server = Server(folder, DATABASE_URL=settings.database_url, BETTER_AUTH_SECRET=settings.better_auth_secret)
        yield server.serving().url


@pytest.fixture(scope="module")
def outcomes(
    installed: None,  # noqa: ARG001 - has to be there first
    settings: Settings,
    url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Mapping[Client, Outcome]:
    """What becomes of every client, each for a user of its own, side by side."""

    folders = [tmp_path_factory.mktemp("client") for _ in CLIENTS]
    tokens = [mint(settings, random_user(), 3600) for _ in CLIENTS]
    with ThreadPoolExecutor() as threads:
        found = threads.map(partial(outcome, url=url), CLIENTS, folders, tokens)
        return dict(zip(CLIENTS, found, strict=True))


@each_client
def test_a_client_is_generated_without_a_warning(outcomes: Mapping[Client, Outcome], client: Client) -> None:
    generated = outcomes[client].generated
    assert generated.returncode == 0, generated.stdout + generated.stderr
    assert not WARNING.search(generated.stdout + generated.stderr)


@each_client
def test_a_program_that_uses_it_compiles_strictly(outcomes: Mapping[Client, Outcome], client: Client) -> None:
    checked = outcomes[client].checked
    assert checked.returncode == 0, checked.stdout + checked.stderr


@each_client
def test_the_program_does_everything_with_a_real_server(outcomes: Mapping[Client, Outcome], client: Client) -> None:
    ran = outcomes[client].ran
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    assert ran.stdout.splitlines() == STEPS


def test_axios_filters_by_arrays_in_its_default_format(
    installed: None,  # noqa: ARG001 - has to be there first
    settings: Settings,
    url: str,
    tmp_path: Path,
) -> None:
    prepare(tmp_path, "axios.mjs")
    ran = run("node axios.mjs", tmp_path, API_URL=url, TOKEN=mint(settings, random_user(), 3600))
    assert (ran.returncode, ran.stdout) == (0, "list 200\n"), ran.stderr

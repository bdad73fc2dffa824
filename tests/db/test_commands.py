"""`litestar database`: where it runs, and what it refuses to destroy."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import click
import pytest
from click.testing import CliRunner, Result

from app.cli import Commands
from app.development import postgres
from app.settings import Settings
from tests.db.empty import REVISIONS, Empty

VERSION = "SELECT version_num FROM tasks_version"
USER = "INSERT INTO users (id) VALUES ('u')"


def command(settings: Settings, *arguments: str) -> Result:
    """Run it in a thread of its own: it starts an event loop, and tests before this one may have left theirs here."""
    cli = click.Group()
    Commands(settings).on_cli_init(cli)
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(CliRunner().invoke, cli, ["database", *arguments]).result()


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes when the embedded database would run; another one stands in for it."""
    noted: list[str] = []

    @contextmanager
    def running() -> Iterator[None]:
        noted.append("started")
        yield
        noted.append("stopped")

    monkeypatch.setattr(postgres, "running", running)
    return noted


@pytest.mark.parametrize("development", [True, False])
def test_commands_run_the_embedded_database_where_it_is_used(
    migrated: Empty, embedded: list[str], development: bool
) -> None:
    settings = replace(migrated.settings, development=development)
    assert command(settings, "check").exit_code == 0
    assert embedded == (["started", "stopped"] if development else [])


@pytest.mark.parametrize(
    "arguments",
    [("drop-all", "--no-prompt"), ("downgrade", "--no-prompt", "base"), ("downgrade", "--no-prompt", REVISIONS[0])],
    ids=" ".join,
)
def test_what_destroys_more_than_a_rollback_needs_is_refused_in_one_sentence(
    migrated: Empty, arguments: tuple[str, ...]
) -> None:
    migrated.execute(USER)
    refused = command(migrated.settings, *arguments)
    assert refused.exit_code == 1
    assert refused.stderr.startswith("Error: ")
    assert refused.stderr.count("\n") == 1
    assert migrated.query("SELECT id FROM users") == [("u",)]
    assert migrated.query(VERSION) == [(REVISIONS[-1],)]


def test_the_latest_migration_can_be_taken_back_but_never_the_first_while_there_are_users(migrated: Empty) -> None:
    migrated.execute(USER)
    for revision in reversed(REVISIONS[:-1]):
        assert command(migrated.settings, "downgrade", "--no-prompt").exit_code == 0
        assert migrated.query(VERSION) == [(revision,)]
    refused = command(migrated.settings, "downgrade", "--no-prompt")
    assert str(refused.exception).startswith("The first migration cannot be taken back")
    assert migrated.query("SELECT id FROM users") == [("u",)]
    assert migrated.query(VERSION) == [(REVISIONS[0],)]


@pytest.mark.usefixtures("embedded")
def test_the_embedded_database_may_be_emptied(migrated: Empty) -> None:
    own = replace(migrated.settings, development=True)
    migrated.execute(USER)
    assert command(own, "drop-all", "--no-prompt").exit_code == 0
    assert migrated.tables() == set()

"""MIGRATE_ON_START and DATABASE_URL_UNPOOLED, with real processes; MIGRATION_ROUNDS repeats the start of replicas."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from app.auth.mint import mint
from app.db import migrations
from tests.conftest import client_of, random_user, running
from tests.db.empty import REVISIONS, Empty
from tests.processes import Server, command, copied_project, processes_in, until

ROUNDS = int(os.environ.get("MIGRATION_ROUNDS", "1"))
NOWHERE = "postgresql://postgres@127.0.0.1:1/tasks"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the service runs."""
    with copied_project() as folder:
        yield folder


def served(folder: Path, database: Empty, *, migrate: str = "", workers: int = 1) -> Server:
    return Server(
        folder,
        workers=workers,
        DATABASE_URL=database.settings.database_url,
        BETTER_AUTH_SECRET=database.settings.better_auth_secret,
        LOG_FORMAT="console",
        MIGRATE_ON_START=migrate,
    )


def variables(database: Empty, **more: str) -> dict[str, str]:
    return {
        "DATABASE_URL": database.settings.database_url,
        "BETTER_AUTH_SECRET": database.settings.better_auth_secret,
        **more,
    }


@pytest.mark.parametrize("_round", range(ROUNDS))
def test_replicas_that_start_at_once_on_an_empty_database_all_serve_and_one_migrates(
    folder: Path, create_database: Callable[[], str], _round: int
) -> None:
    database = Empty(create_database())
    replicas = [served(folder, database, migrate="true", workers=workers) for workers in (1, 1, 1, 2)]
    headers = {"Authorization": f"Bearer {mint(database.settings, random_user(), 3600)}"}
    for replica in replicas:
        replica.serving()
        created = httpx.post(f"{replica.url}/api/me/tasks", json={"title": "x"}, headers=headers, timeout=30)
        assert created.status_code == 201
    applied = [re.findall(r"migrated +revision=(\w+)", replica.output) for replica in replicas]
    assert sorted(applied) == [[], [], [], REVISIONS]
    assert not [replica.output for replica in replicas if "Traceback" in replica.output]


def test_server_leaves_the_schema_alone_unless_told(folder: Path, database: Empty) -> None:
    served(folder, database).serving()
    assert database.tables() == set()


def test_server_that_waits_for_its_turn_ends_at_once_when_told(folder: Path, database: Empty) -> None:
    with database.transaction(migrations.TAKE_TURN):
        waiting = served(folder, database, migrate="true")
        until(lambda: "waiting while another process migrates" in waiting.output, 60)
        assert waiting.terminate() == 0
    until(lambda: not processes_in(folder))
    assert "Traceback" not in waiting.output


def test_server_that_cannot_migrate_does_not_serve_and_says_why_in_one_sentence(folder: Path, database: Empty) -> None:
    absent = database.settings.database_url.replace("/t", "/absent", 1)
    started = variables(database, DATABASE_URL_UNPOOLED=absent, MIGRATE_ON_START="true")
    ended = command(folder, "litestar", "run", **started)
    assert ended.returncode == 1
    assert re.fullmatch(r"DATABASE_URL_UNPOOLED names a database that .* does not exist\n", ended.stderr)


def test_commands_use_the_direct_url(folder: Path, database: Empty) -> None:
    given = variables(database, DATABASE_URL=NOWHERE, DATABASE_URL_UNPOOLED=database.settings.database_url)
    ended = command(folder, "litestar", "database", "upgrade", "--no-prompt", **given)
    assert ended.returncode == 0, ended.stderr
    assert "tasks" in database.tables()


def test_command_with_a_wrong_direct_url_is_one_sentence_that_names_it(folder: Path, database: Empty) -> None:
    given = variables(database, DATABASE_URL_UNPOOLED="tasks")
    ended = command(folder, "litestar", "database", "upgrade", "--no-prompt", **given)
    assert ended.returncode == 1
    assert ended.stderr.startswith("DATABASE_URL_UNPOOLED is not a URL like ")
    assert ended.stderr.count("\n") == 1


async def test_requests_never_use_the_direct_url(migrated: Empty) -> None:
    settings = replace(migrated.settings, database_url_unpooled=NOWHERE)
    async with running(settings) as app, client_of(app, settings, random_user()) as client:
        assert (await client.get("/api/me/tasks")).status_code == 200


def test_migrating_from_python_uses_the_direct_url(database: Empty) -> None:
    migrations.upgrade(
        replace(database.settings, database_url=NOWHERE, database_url_unpooled=database.settings.database_url)
    )
    assert "tasks" in database.tables()

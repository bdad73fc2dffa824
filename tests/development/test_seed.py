"""`litestar seed`: what it adds, to whom, and that everybody learns of it."""

import asyncio
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import click
import httpx
import pytest
from click.testing import CliRunner, Result

from app.auth.mint import mint
from app.cli import Commands
from app.development.samples import samples
from app.development.seed import MOST_TASKS, fill
from app.settings import Settings
from app.tasks import rules
from tests.conftest import random_user
from tests.processes import Server, command, copied_project

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def seed(settings: Settings) -> Callable[..., Result]:
    """Run the command in a thread of its own, for it starts an event loop."""

    def run(*arguments: str, settings: Settings = settings) -> Result:
        cli = click.Group()
        Commands(settings).on_cli_init(cli)
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(CliRunner().invoke, cli, ["seed", *arguments]).result()

    return run


def drawn(number: int | None, tasks: int = 500) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in vars(task).items() if name[0] != "_"}
        for task in samples("u", range(1, tasks + 1), NOW, number)
    ]


async def test_the_list_has_the_tasks_and_a_cached_one_is_refreshed(
    seed: Callable[..., Result], client: httpx.AsyncClient, user_id: str
) -> None:
    await client.post("/api/me/tasks", json={"title": "Already there"})
    before = await client.get("/api/me/tasks")
    done = seed("--user", user_id, "--tasks", "200", "--yes")
    assert (done.exit_code, done.output) == (0, f"{user_id} has 200 more tasks.\n")
    after = await client.get("/api/me/tasks", headers={"If-None-Match": before.headers["ETag"]})
    assert after.status_code == 200
    tasks = after.json()
    assert len(tasks) == 201
    revisions = sorted(task["revision"] for task in tasks)
    assert revisions == list(range(revisions[0], revisions[0] + 201))
    assert after.headers["ETag"].strip('W/"') == str(revisions[-1])
    again = await client.get("/api/me/tasks", headers={"If-None-Match": after.headers["ETag"]})
    assert again.status_code == 304


async def test_an_account_that_has_never_written_starts_like_any_other(
    seed: Callable[..., Result], client: httpx.AsyncClient, user_id: str
) -> None:
    microseconds = int(datetime.now(UTC).timestamp() * 1_000_000)
    assert seed("--user", user_id, "--tasks", "3", "--yes").exit_code == 0
    profile = (await client.get("/api/me")).json()
    assert profile["counts"]["total"] == 3
    assert 0 <= profile["revision"] - microseconds < 60_000_000
    created = await client.post("/api/me/tasks", json={"title": "Next"})
    assert created.json()["revision"] == profile["revision"] + 1


async def test_tasks_that_others_write_meanwhile_have_revisions_of_their_own(
    client: httpx.AsyncClient, settings: Settings, user_id: str, connection: asyncpg.Connection
) -> None:
    creates = [client.post("/api/me/tasks", json={"title": f"{number}"}) for number in range(20)]
    await asyncio.gather(fill(settings, user_id, 300, None), *creates, fill(settings, user_id, 300, None))
    count, distinct, highest = await connection.fetchrow(
        "SELECT count(*), count(DISTINCT revision), max(revision) FROM tasks WHERE user_id = $1", user_id
    )
    assert (count, distinct) == (620, 620)
    assert await connection.fetchval("SELECT revision FROM users WHERE id = $1", user_id) == highest


def test_the_same_number_draws_the_same_tasks_and_another_one_others() -> None:
    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)
    assert drawn(None) != drawn(None)


def test_tasks_are_believable() -> None:
    tasks = drawn(7)
    assert {task["priority"] for task in tasks} == {1, 2, 3}
    assert {task["completed"] for task in tasks} == {True, False}
    titles = [task["title"] for task in tasks]
    assert len(set(titles)) > 75
    assert len(set(titles[:40])) > 30
    assert len({tag for task in tasks for tag in task["tags"]}) > 8
    due = [task["due_date"] for task in tasks if task["due_date"]]
    assert len(due) in range(200, 500)
    assert all(abs(moment - NOW) < timedelta(days=60) for moment in due)
    assert min(due) < NOW < max(due)
    assert all(task["created_at"] <= task["updated_at"] <= NOW for task in tasks)


def test_a_later_change_has_a_higher_revision_and_every_field_is_one_that_clients_could_write() -> None:
    tasks = sorted(drawn(7), key=lambda task: task["revision"])
    changes = [task["updated_at"] for task in tasks]
    assert changes == sorted(changes)
    for task in tasks:
        assert rules.title(task["title"]) == task["title"]
        assert rules.description(task["description"]) == task["description"]
        assert rules.tags(task["tags"]) == task["tags"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--tasks", "5"], "--user"),
        (["--user", "a/b"], "at most 128"),
        (["--user", "u", "--tasks", "0"], "--tasks"),
        (["--user", "u", "--tasks", str(MOST_TASKS + 1)], "--tasks"),
    ],
)
def test_what_cannot_be_meant_is_refused(seed: Callable[..., Result], arguments: list[str], reason: str) -> None:
    refused = seed(*arguments, "--yes")
    assert refused.exit_code == 2, refused.output
    assert reason in refused.stderr


async def test_a_database_of_ones_own_is_not_written_to_without_a_yes(
    seed: Callable[..., Result], client: httpx.AsyncClient, user_id: str
) -> None:
    asked = seed("--user", user_id, "--tasks", "5")
    assert asked.exit_code == 1
    assert re.search(rf"Add 5 made-up tasks to {user_id} in the database t[0-9a-f]{{16}} on /.*\?", asked.stdout)
    assert (await client.get("/api/me/tasks")).json() == []


def test_a_database_that_is_away_is_one_sentence(seed: Callable[..., Result], settings: Settings) -> None:
    away = replace(settings, database_url="postgresql://me:hushhush@127.0.0.1:1/tasks", database_timeout=1)
    refused = seed("--user", "u", "--yes", settings=away)
    assert refused.exit_code == 1
    assert refused.stderr.startswith("Error: ")
    assert refused.stderr.count("\n") == 1
    assert "hushhush" not in refused.output


@pytest.fixture
def folder() -> Iterator[Path]:
    with copied_project() as folder:
        yield folder


def test_in_development_it_fills_what_a_running_server_serves_and_needs_none(folder: Path) -> None:
    done = command(folder, "litestar", "seed", "--tasks", "4")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "dev-user has 4 more tasks.")
    server = Server(folder).serving()
    user_id, secret = random_user(), (folder / ".dev" / "secret").read_text()
    token = mint(Settings(database_url="", better_auth_secret=secret), user_id, 600)
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {token}"}) as client:
        client.post("/api/me/tasks", json={"title": "Already there"})
        assert len(client.get("/api/me/tasks").json()) == 1
        assert command(folder, "litestar", "seed", "--user", user_id, "--tasks", "30").returncode == 0
        assert len(client.get("/api/me/tasks").json()) == 31
        purged = command(folder, "litestar", "tasks", "purge", "--older-than", "90d")
        assert (purged.returncode, purged.stderr) == (0, "")
        assert purged.stdout == "Removed: deleted tasks 0, uids 0, users 0.\n"
    assert server.terminate() == 0

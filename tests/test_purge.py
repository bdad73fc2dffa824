"""`litestar tasks purge`: what it removes, what it must not, and that no client misses a deletion because of it."""

import asyncio
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import click
import httpx
import hypothesis
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from litestar import Litestar

from app import purge as command
from app.cli import Commands
from app.db import migrations
from app.db.database import Database
from app.settings import Settings
from app.tasks.repository import TaskRepository
from tests.conftest import client_of, random_user
from tests.processes import ROOT, environment

TASKS = "/api/me/tasks"
TRASH = "/api/me/tasks?status=deleted"
CHANGES = "/api/me/tasks/changes"
OLD = timedelta(days=100)

Purge = Callable[..., Result]


@pytest.fixture
def purge(settings: Settings) -> Purge:
    """Run the command in a thread of its own, for it starts an event loop."""

    def run(*arguments: str, settings: Settings = settings) -> Result:
        cli = click.Group()
        Commands(settings).on_cli_init(cli)
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(CliRunner().invoke, cli, ["tasks", "purge", *arguments]).result()

    return run


async def deleted(client: httpx.AsyncClient, *titles: str, **fields: Any) -> list[dict[str, Any]]:
    """Create and delete tasks; each as it was before."""
    tasks = [(await client.post(TASKS, json={"title": title, **fields})).json() for title in titles]
    for task in tasks:
        assert (await client.delete(f"{TASKS}/{task['id']}")).status_code == 204
    return tasks


async def age(connection: asyncpg.Connection, user_id: str, *ids: int, by: timedelta = OLD) -> None:
    """Have tombstones be from earlier, all of them unless some are named."""
    await connection.execute(
        """UPDATE tasks SET deleted_at = deleted_at - $2::interval
           WHERE user_id = $1 AND deleted_at IS NOT NULL AND ($3::bigint[] = '{}' OR id = ANY ($3))""",
        user_id,
        by,
        ids,
    )


async def user_row(connection: asyncpg.Connection, user_id: str) -> tuple[int, int, int]:
    row = await connection.fetchrow("SELECT revision, floor, tasks FROM users WHERE id = $1", user_id)
    return row["revision"], row["floor"], row["tasks"]


async def test_what_was_deleted_before_is_removed_and_nothing_else(
    purge: Purge, client: httpx.AsyncClient, user_id: str, connection: asyncpg.Connection
) -> None:
    old = await deleted(client, "a", "b", "c")
    new = await deleted(client, "d")
    kept = (await client.post(TASKS, json={"title": "e"})).json()
    await age(connection, user_id, *(task["id"] for task in old))
    done = purge("--older-than", "90d", "--user", user_id)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "Removed: deleted tasks 3, uids 0, users 1.\n"
    assert [task["id"] for task in (await client.get(TRASH)).json()] == [new[0]["id"]]
    assert (await client.get(TASKS)).json() == [kept]
    assert await connection.fetchval("SELECT count(*) FROM tasks WHERE user_id = $1", user_id) == 2
    for task in old:
        assert (await client.post(f"{TASKS}/{task['id']}/restore")).status_code == 404
    assert (await client.post(f"{TASKS}/{new[0]['id']}/restore")).status_code == 200
    again = purge("--older-than", "90d", "--user", user_id)
    assert again.stdout.startswith("Removed: deleted tasks 0, ")


async def test_a_dry_run_counts_and_removes_nothing(
    purge: Purge, client: httpx.AsyncClient, user_id: str, connection: asyncpg.Connection
) -> None:
    await deleted(client, "a", "b")
    await deleted(client, "c", uid=f"named-{secrets.token_hex(4)}")
    await age(connection, user_id)
    before = await user_row(connection, user_id), (await client.get(TRASH)).json()
    counted = purge("--older-than", "90d", "--user", user_id, "--dry-run")
    assert counted.exit_code == 0
    assert counted.stdout == "To remove: deleted tasks 3, uids 1, users 1.\n"
    assert (await user_row(connection, user_id), (await client.get(TRASH)).json()) == before


async def test_the_floor_is_the_highest_forgotten_deletion_and_never_sinks(
    purge: Purge, client: httpx.AsyncClient, user_id: str, connection: asyncpg.Connection
) -> None:
    tasks = await deleted(client, "a", "b", "c")
    await client.post(TASKS, json={"title": "later"})
    revisions = [task["revision"] for task in reversed((await client.get(TRASH)).json())]
    await age(connection, user_id, tasks[0]["id"], tasks[1]["id"])
    revision, _, number = await user_row(connection, user_id)
    purge("--older-than", "90d", "--user", user_id)
    assert await user_row(connection, user_id) == (revision + 1, revisions[1], number - 2)
    await age(connection, user_id, tasks[2]["id"])
    await connection.execute("UPDATE users SET floor = revision WHERE id = $1", user_id)
    purge("--older-than", "90d", "--user", user_id)
    assert await user_row(connection, user_id) == (revision + 2, revision + 1, number - 3)


async def test_clients_that_have_not_heard_of_a_deletion_start_again_and_others_go_on(
    purge: Purge, client: httpx.AsyncClient, user_id: str, connection: asyncpg.Connection
) -> None:
    first = (await client.post(TASKS, json={"title": "kept"})).json()
    [gone] = await deleted(client, "gone")
    since = (await client.get(TRASH)).json()[0]["revision"]
    trash = await client.get(TRASH)
    await age(connection, user_id)
    purge("--older-than", "90d", "--user", user_id)
    for behind in (first["revision"], gone["revision"], since - 1):
        answer = await client.get(f"{CHANGES}?since={behind}")
        assert (answer.status_code, answer.json()["code"]) == (410, "changes_gone")
    told = (await client.get(f"{CHANGES}?since={since}")).json()
    assert told == {"changes": [], "revision": since + 1, "next": None}
    copy = (await client.get(f"{CHANGES}?since=0")).json()
    assert [task["id"] for task in copy["changes"]] == [first["id"]]
    emptied = await client.get(TRASH, headers={"If-None-Match": trash.headers["ETag"]})
    assert (emptied.status_code, emptied.json()) == (200, [])


async def test_a_key_makes_a_new_task_once_its_task_is_removed(
    purge: Purge, client: httpx.AsyncClient, user_id: str, connection: asyncpg.Connection
) -> None:
    headers = {"Idempotency-Key": f"key-{secrets.token_hex(8)}"}
    first = await client.post(TASKS, json={"title": "x"}, headers=headers)
    await client.delete(f"{TASKS}/{first.json()['id']}")
    assert (await client.post(TASKS, json={"title": "x"}, headers=headers)).status_code == 410
    await age(connection, user_id)
    done = purge("--older-than", "90d", "--user", user_id)
    assert "uids 1" in done.stdout
    again = await client.post(TASKS, json={"title": "x"}, headers=headers)
    assert again.status_code == 201
    assert again.json()["id"] != first.json()["id"]


async def test_the_log_of_a_user_with_very_many_tasks_has_no_gap_after_that(
    purge: Purge, client: httpx.AsyncClient, user_id: str, connection: asyncpg.Connection
) -> None:
    await deleted(client, "a")
    await connection.execute("UPDATE users SET tasks = 6000 WHERE id = $1", user_id)
    await age(connection, user_id)
    purge("--older-than", "90d", "--user", user_id)
    revision, _, number = await user_row(connection, user_id)
    assert number == 5999
    logged = await connection.fetch("SELECT revision, task_id FROM task_changes WHERE user_id = $1", user_id)
    assert [tuple(row) for row in logged] == [(revision, 0)]
    changed = (await client.post(TASKS, json={"title": "b"})).json()
    told = (await client.get(f"{CHANGES}?since={revision - 1}")).json()
    assert [task["id"] for task in told["changes"]] == [changed["id"]]


@pytest.fixture
async def apart(create_database: Callable[[], str], settings: Settings) -> AsyncIterator[tuple[Settings, Any]]:
    """A database without anybody else's tasks, and a connection to it."""
    own = replace(settings, database_url=await asyncio.to_thread(create_database))
    await asyncio.to_thread(migrations.upgrade, own)
    connection = await asyncpg.connect(own.database_url)
    yield own, connection
    await connection.close()


async def fill(connection: asyncpg.Connection, users: int, tombstones: int, user_id: str = "") -> list[str]:
    """Add users, each with a live task and with tombstones that are a year old, in the order of their revisions."""
    ids = [user_id or random_user() for _ in range(users)]
    await connection.execute(
        "INSERT INTO users (id, revision, floor, tasks) SELECT id, 1000000, 0, $2 + 1 FROM unnest($1::text[]) AS id",
        ids,
        tombstones,
    )
    await connection.execute(
        """INSERT INTO tasks (user_id, title, revision, deleted_at)
           SELECT id, 'x', n + 1, CASE WHEN n < $2::int THEN now() - interval '1 year' + n * interval '1 second' END
           FROM unnest($1::text[]) AS id, generate_series(0, $2::int) AS n""",
        ids,
        tombstones,
    )
    return ids


async def test_everybody_is_gone_through_in_batches(
    purge: Purge, apart: tuple[Settings, asyncpg.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, connection = apart
    monkeypatch.setattr(command, "USERS", 3)
    monkeypatch.setattr(command, "BATCH", 10)
    await fill(connection, 7, 25)
    await fill(connection, 2, 10)
    await fill(connection, 1, 0)
    for arguments, said in (
        (["--dry-run"], "To remove: deleted tasks 195, uids 0, users 9.\n"),
        ([], "Removed: deleted tasks 195, uids 0, users 9.\n"),
        ([], "Removed: deleted tasks 0, uids 0, users 0.\n"),
    ):
        assert purge("--older-than", "52w", *arguments, settings=settings).stdout == said
    assert await connection.fetchval("SELECT count(*) FROM tasks") == 10
    rows = await connection.fetch("SELECT floor, revision, tasks, count(*) FROM users GROUP BY 1, 2, 3 ORDER BY 1")
    assert [tuple(row) for row in rows] == [(0, 1000000, 1, 1), (10, 1000001, 1, 2), (25, 1000003, 1, 7)]


async def test_two_at_once_remove_everything_once(
    apart: tuple[Settings, asyncpg.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, connection = apart
    monkeypatch.setattr(command, "BATCH", 20)
    await fill(connection, 6, 100)
    sums = [command.Sum() for _ in range(3)]
    await asyncio.gather(*(command.run(settings, OLD, None, each, dry_run=False) for each in sums))
    assert sum(each.tasks for each in sums) == 600
    assert await connection.fetchval("SELECT count(*) FROM tasks") == 6
    rows = await connection.fetch("SELECT DISTINCT floor, tasks FROM users")
    assert [tuple(row) for row in rows] == [(100, 1)]


async def test_an_interrupted_one_leaves_whole_batches_and_the_next_goes_on(
    purge: Purge, apart: tuple[Settings, asyncpg.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, connection = apart
    monkeypatch.setattr(command, "BATCH", 10)
    await fill(connection, 1, 45)
    original, calls = TaskRepository.purge, []

    async def interrupted(self: TaskRepository, *arguments: Any) -> Any:
        answer = await original(self, *arguments)
        calls.append(answer)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return answer

    monkeypatch.setattr(TaskRepository, "purge", interrupted)
    stopped = purge("--older-than", "90d", settings=settings)
    assert stopped.exit_code == 128 + signal.SIGINT
    assert stopped.stderr.startswith("Interrupted. Removed: deleted tasks 20, uids 0, users 1.")
    assert await connection.fetchval("SELECT count(*) FROM tasks WHERE deleted_at IS NOT NULL") == 25
    assert await connection.fetchval("SELECT floor FROM users") == 20
    done = purge("--older-than", "90d", settings=settings)
    assert done.stdout.startswith("Removed: deleted tasks 25, uids 0, users 1.")
    assert await connection.fetchval("SELECT floor FROM users") == 45


async def remove(settings: Settings, user_id: str, age: timedelta = timedelta(days=90)) -> int:
    """What one batch of the command removes."""
    database = Database(settings)
    try:
        async with database.transaction(user_id) as session:
            before = datetime.now(UTC) - age
            return (await TaskRepository(session=session).purge(user_id, before, 1000)).tasks
    finally:
        await database.close()


async def test_a_removal_waits_for_a_write_and_spares_what_it_restored(
    client: httpx.AsyncClient, settings: Settings, user_id: str, connection: asyncpg.Connection
) -> None:
    restored, gone = await deleted(client, "restored", "gone")
    await age(connection, user_id)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("UPDATE users SET revision = revision + 1 WHERE id = $1", user_id)
    removing = asyncio.create_task(remove(settings, user_id))
    await asyncio.sleep(0.3)
    assert not removing.done()
    await connection.execute(
        """UPDATE tasks SET deleted_at = NULL, revision = users.revision FROM users
           WHERE users.id = user_id AND tasks.id = $1""",
        restored["id"],
    )
    await transaction.commit()
    assert await removing == 1
    assert [task["id"] for task in (await client.get(TASKS)).json()] == [restored["id"]]
    revision, floor, _ = await user_row(connection, user_id)
    assert gone["revision"] < floor < revision
    profile = (await client.get("/api/me")).json()
    assert profile["revision"] == revision


async def test_a_task_that_is_restored_and_removed_at_once_is_there_or_404(
    client: httpx.AsyncClient, settings: Settings, user_id: str, connection: asyncpg.Connection
) -> None:
    outcomes = []
    for _ in range(15):
        [task] = await deleted(client, "contested")
        deletion = (await client.get(TRASH)).json()[0]["revision"]
        await age(connection, user_id)
        answer, removed = await asyncio.gather(client.post(f"{TASKS}/{task['id']}/restore"), remove(settings, user_id))
        outcomes.append((answer.status_code, removed))
        assert outcomes[-1] in {(200, 0), (404, 1)}
        read = await client.get(f"{TASKS}/{task['id']}")
        assert read.status_code == answer.status_code
        _, floor, _ = await user_row(connection, user_id)
        assert (floor >= deletion) is (removed == 1)


async def test_writers_and_removals_do_each_other_no_harm(
    client: httpx.AsyncClient, settings: Settings, user_id: str, connection: asyncpg.Connection
) -> None:
    """No deadlock, no write refused, and no two writes with one revision."""
    await deleted(client, *"abcdefgh")
    ids = [task["id"] for task in (await client.get(TRASH)).json()]
    await age(connection, user_id)
    running = True

    async def restore_and_delete(number: int) -> list[int]:
        seen = []
        while running:
            answer = await client.post(f"{TASKS}/{ids[number]}/restore")
            assert answer.status_code in {200, 404}
            created = await client.post(TASKS, json={"title": "x"})
            assert created.status_code == 201
            seen.append(created.json()["revision"])
            gone = await client.delete(f"{TASKS}/{created.json()['id']}")
            assert gone.status_code == 204
        return seen

    writers = [asyncio.create_task(restore_and_delete(number)) for number in range(4)]
    for _ in range(8):
        await asyncio.gather(*(remove(settings, user_id, timedelta()) for _ in range(2)))
    running = False
    revisions = [revision for seen in await asyncio.gather(*writers) for revision in seen]
    assert len(set(revisions)) == len(revisions) > 0
    await remove(settings, user_id, timedelta(seconds=-60))
    assert (
        await connection.fetchval("SELECT count(*) FROM tasks WHERE user_id = $1 AND deleted_at IS NOT NULL", user_id)
        == 0
    )


class Device:
    """A client with a copy of the list, which follows the changes as docs/api.md says."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._since = 0
        self._tasks: dict[int, dict[str, Any]] = {}

    async def pull(self, floor: int) -> None:
        """Follow the pages; only a copy from before the floor has to be given up."""
        path = f"{CHANGES}?since={self._since}&limit=2"
        page = await self._client.get(path)
        assert (page.status_code == 410) is (0 < self._since < floor)
        if page.status_code == 410:
            self._since, self._tasks = 0, {}
            path = f"{CHANGES}?limit=2"
        while path:
            page = await self._client.get(path)
            assert page.status_code == 200, page.text
            for task in page.json()["changes"]:
                self._tasks.pop(task["id"], None)
                if task["deleted_at"] is None:
                    self._tasks[task["id"]] = task
            self._since, path = page.json()["revision"], page.json()["next"]

    async def holds_what_the_server_has(self) -> bool:
        listed = (await self._client.get(TASKS)).json()
        return self._tasks == {task["id"]: {**task, "deleted_at": None} for task in listed}


STEPS = st.lists(
    st.tuples(st.sampled_from(["create", "change", "delete", "delete", "restore", "purge", "pull"]), st.integers(0, 9)),
    min_size=10,
    max_size=40,
)


@given(steps=STEPS)
@hypothesis.settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_is_removed_in_between_each_copy_ends_as_the_list(
    app: Litestar, settings: Settings, connection: asyncpg.Connection, steps: list[tuple[str, int]]
) -> None:
    user_id = random_user()
    database = Database(settings)
    async with client_of(app, settings, user_id) as client:
        devices = [Device(client) for _ in range(3)]
        known: list[int] = []
        for step, number in steps:
            if step == "create" or not known:
                known.append((await client.post(TASKS, json={"title": str(number)})).json()["id"])
                continue
            path = f"{TASKS}/{known[number % len(known)]}"
            if step == "change":
                await client.patch(path, json={"title": f"{number}!"})
            elif step == "delete":
                await client.delete(path)
            elif step == "restore":
                await client.post(f"{path}/restore")
            elif step == "purge":
                async with database.transaction(user_id) as session:
                    await TaskRepository(session=session).purge(user_id, datetime.now(UTC), 1 + number % 3)
            else:
                await devices[number % len(devices)].pull((await user_row(connection, user_id))[1])
        _, floor, number = await user_row(connection, user_id)
        assert number == await connection.fetchval("SELECT count(*) FROM tasks WHERE user_id = $1", user_id)
        for device in devices:
            await device.pull(floor)
            assert await device.holds_what_the_server_has()
    await database.close()


async def test_at_a_terminal_it_shows_how_far_it_has_come_until_ctrl_c(
    apart: tuple[Settings, asyncpg.Connection],
) -> None:
    settings, connection = apart
    await fill(connection, 1, 1500, user_id="a")
    await fill(connection, 1, 1, user_id="b")
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("SELECT FROM users WHERE id = 'b' FOR UPDATE")
    ours, theirs = os.openpty()
    variables = {"DATABASE_URL": settings.database_url, "BETTER_AUTH_SECRET": settings.better_auth_secret or ""}
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "litestar", "tasks", "purge", "--older-than", "90d"],
        cwd=ROOT,
        env=environment(TERM="xterm", **variables),
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = ""
    while "1500/1501" not in shown:
        shown += (await asyncio.to_thread(os.read, ours, 1000)).decode()
    assert "Removing" in shown
    os.kill(process.pid, signal.SIGINT)
    while "uids" not in shown:
        shown += (await asyncio.to_thread(os.read, ours, 1000)).decode()
    said, _ = await process.communicate()
    os.close(ours)
    assert (process.returncode, said) == (128 + signal.SIGINT, b"")
    assert "Interrupted. Removed: deleted tasks 1500, uids 0, users 1." in shown
    assert "Traceback" not in shown
    await transaction.rollback()
    assert await connection.fetchval("SELECT count(*) FROM tasks WHERE deleted_at IS NOT NULL") == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "--older-than"),
        (["--older-than", "90"], "has to look like"),
        (["--older-than", "-1d"], "has to look like"),
        (["--older-than", "1.5d"], "has to look like"),
        (["--older-than", "٣d"], "has to look like"),
        (["--older-than", "23h"], "from 1 day"),
        (["--older-than", "999999w"], "to 36500 days"),
        (["--older-than", "90d", "--user", "a/b"], "at most 128"),
    ],
)
def test_what_cannot_be_meant_is_refused(purge: Purge, arguments: list[str], reason: str) -> None:
    refused = purge(*arguments)
    assert refused.exit_code == 2, refused.output
    assert reason in re.sub(r"\s+", " ", refused.stderr)


def test_a_database_that_is_away_is_one_sentence(purge: Purge, settings: Settings) -> None:
    away = replace(settings, database_url="postgresql://me:hushhush@127.0.0.1:1/tasks", database_timeout=1)
    refused = purge("--older-than", "90d", settings=away)
    assert refused.exit_code == 1
    assert refused.stderr.startswith(
        "Error: The database is not available right now; try again. Removed: deleted tasks 0, "
    )
    assert "hushhush" not in refused.output
    assert len(refused.stderr.splitlines()) == 1


async def test_a_bug_is_not_hidden(purge: Purge, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(TaskRepository, "tombstones", broken)
    assert isinstance(purge("--older-than", "90d").exception, ZeroDivisionError)

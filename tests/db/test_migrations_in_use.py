"""Migrations of a database that others use at the same time: writers, long transactions, other migrations."""

import asyncio
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from app.db import migrations
from app.db.migrations import MIGRATIONS, MigrationError
from tests.db.empty import LATEST, REVISIONS, Empty
from tests.processes import until

REVISION = f"""
import sqlalchemy as sa
from alembic import op

revision = "test"
down_revision = "{LATEST}"


def upgrade() -> None:
"""
COLUMN = """
    op.create_table("half_done", sa.Column("id", sa.Integer))
    op.add_column("tasks", sa.Column("colour", sa.Text))
"""
INDEX = """
    with op.get_context().autocommit_block():
        op.drop_index("tasks_title_idx", "tasks", if_exists=True, postgresql_concurrently=True)
        op.create_index("tasks_title_idx", "tasks", ["user_id", "title"], unique=True, postgresql_concurrently=True)
"""
WRITE = "INSERT INTO tasks (user_id, title, revision) VALUES ('u', '{}', 1)"
VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'tasks_title_idx'::regclass"
VERSION = "SELECT version_num FROM tasks_version"


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "LOCK_SECONDS", 0.2)
    monkeypatch.setattr(migrations, "RETRY_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(migrations, "POLL_SECONDS", 0.05)


@pytest.fixture
def upgrade(migrated: Empty, tmp_path: Path) -> Callable[[str], None]:
    """Add a migration with this body, and apply it."""
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder)

    def run(body: str) -> None:
        (folder / "versions" / "test.py").write_text(REVISION + body)
        migrated.commands(folder).upgrade()

    return run


def waiting(database: Empty) -> bool:
    """Whether somebody waits for a lock of somebody else."""
    return bool(
        database.query("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
    )


def test_index_is_built_beside_writers_and_a_long_transaction(migrated: Empty, upgrade: Callable[[str], None]) -> None:
    with ThreadPoolExecutor(1) as pool, migrated.transaction(WRITE.format("before")) as writer:
        building = pool.submit(upgrade, INDEX)
        until(lambda: waiting(migrated))  # for the writer
        migrated.execute(f"SET lock_timeout = '1s'; {WRITE.format('meanwhile')}")
        writer(WRITE.format("after"))
        assert not building.done()
        writer("COMMIT")
        building.result(10)
    assert migrated.query(VALID) == [(True,)]
    assert migrated.query(VERSION) == [("test",)]
    assert migrated.query("SELECT count(*) FROM tasks") == [(3,)]


def test_index_whose_build_failed_is_built_by_the_next_attempt(migrated: Empty, upgrade: Callable[[str], None]) -> None:
    migrated.execute(f"{WRITE.format('twice')}; {WRITE.format('twice')}")
    with pytest.raises(DBAPIError, match="could not create unique index"):
        upgrade(INDEX)
    assert migrated.query(VALID) == [(False,)]
    assert migrated.query(VERSION) == [(LATEST,)]
    migrated.execute("DELETE FROM tasks")
    upgrade(INDEX)
    assert migrated.query(VALID) == [(True,)]
    assert migrated.query(VERSION) == [("test",)]


def test_long_transaction_ends_the_migration_with_one_sentence_and_nothing_is_left(
    migrated: Empty, upgrade: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "RETRY_SECONDS", 0.5)
    with migrated.transaction("SELECT FROM tasks"):
        with pytest.raises(MigrationError, match=r"^A migration gave up waiting for a lock [^\n]*\.$"):
            upgrade(COLUMN)
        migrated.execute(f"SET lock_timeout = '1s'; {WRITE.format('still possible')}")
    assert migrated.tables() == {"tasks", "task_changes", "users", "tasks_version"}
    assert migrated.query(VERSION) == [(LATEST,)]
    migrated.commands().check()
    upgrade(COLUMN)
    assert "half_done" in migrated.tables()


def test_application_is_served_between_attempts_and_the_migration_gets_its_lock_in_the_end(
    migrated: Empty, upgrade: Callable[[str], None]
) -> None:
    with ThreadPoolExecutor(1) as pool, migrated.transaction("SELECT FROM tasks") as reader:
        upgrading = pool.submit(upgrade, COLUMN)
        until(lambda: waiting(migrated))
        migrated.execute(f"SET lock_timeout = '2s'; {WRITE.format('queued behind the migration')}")
        assert not upgrading.done()
        reader("COMMIT")
        upgrading.result(10)
    assert migrated.query(VERSION) == [("test",)]


def test_second_migration_waits_for_the_first_and_says_so(migrated: Empty, upgrade: Callable[[str], None]) -> None:
    with (
        capture_logs() as logs,
        ThreadPoolExecutor(1) as pool,
        migrated.transaction(migrations.TAKE_TURN) as other,
    ):
        upgrading = pool.submit(upgrade, INDEX)
        until(lambda: bool(logs))
        assert migrated.query(VERSION) == [(LATEST,)]
        other("COMMIT")
        upgrading.result(10)
    assert [entry["event"] for entry in logs] == ["waiting while another process migrates", "migrated"]
    assert logs[-1]["revision"] == "test"
    assert migrated.query(VERSION) == [("test",)]


OF_0002 = """
WITH bump AS (
  INSERT INTO users (id, revision) VALUES ($1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
  ON CONFLICT (id) DO UPDATE SET revision = users.revision + 1 RETURNING revision
), row AS (
  INSERT INTO tasks (user_id, title, revision) SELECT $1, 'x', revision FROM bump
  RETURNING id, user_id, title, description, priority, tags, due_date, completed, created_at, updated_at, revision
)
SELECT revision, row_to_json(row)::text AS body FROM row
"""


async def test_the_version_before_0003_goes_on_while_later_ones_are_applied(database: Empty) -> None:
    """With the statements that it has prepared, for users whom it knows and for new ones."""
    await asyncio.to_thread(database.commands().upgrade, "0002")
    connection = await asyncpg.connect(database.settings.database_url)
    create = await connection.prepare(OF_0002)
    await create.fetchrow("old")
    for revision in REVISIONS[2:]:
        await asyncio.to_thread(database.commands().upgrade, revision)
        await create.fetchrow("old")
        await create.fetchrow(f"from {revision}")
    users = await connection.fetch("SELECT id, floor, revision FROM users")
    tasks = await connection.fetch("SELECT * FROM tasks WHERE uid IS NULL AND fingerprint IS NULL")
    await connection.close()
    assert len(tasks) == 1 + 2 * len(REVISIONS[2:])
    assert {user["id"]: user["floor"] == 0 for user in users} == {
        "old": True,
        **{f"from {revision}": False for revision in REVISIONS[2:]},
    }
    assert all(user["floor"] <= user["revision"] for user in users)


def test_columns_come_without_a_row_being_written(database: Empty) -> None:
    database.commands().upgrade("0002")
    database.execute("INSERT INTO users (id) VALUES ('u')")
    database.execute(WRITE.format("x"))
    files = "SELECT relname, relfilenode FROM pg_class WHERE relname IN ('users', 'tasks')"
    before = database.query(files)
    database.commands().upgrade()
    assert database.query(files) == before


def test_first_migration_that_never_ends_is_not_waited_for_for_ever(
    migrated: Empty, upgrade: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "TURN_SECONDS", 0.2)
    with (
        migrated.transaction(migrations.TAKE_TURN),
        pytest.raises(MigrationError, match=r"^Another process has been migrating [^\n]*\.$"),
    ):
        upgrade(COLUMN)


def test_turn_outlives_the_idle_timeout_of_the_role(migrated: Empty, upgrade: Callable[[str], None]) -> None:
    [(name,)] = migrated.query("SELECT current_database()")
    migrated.execute(f"ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '1s'")
    upgrade(
        """
    with op.get_context().autocommit_block():
        op.execute("SELECT pg_sleep(1.5)")
    assert op.get_bind().scalar(sa.text("SELECT NOT pg_try_advisory_xact_lock(hashtext('tasks_version'))"))
"""
    )
    assert migrated.query(VERSION) == [("test",)]


def test_database_that_comes_up_late_is_waited_for(
    database: Empty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets = Path(database.settings.database_url.partition("host=")[2])
    late = tmp_path / "late"

    class Starter:
        """Lets the database appear once somebody says that it is missed."""

        def info(self, event: str, **_: Any) -> None:
            if event == "waiting for the database" and not late.exists():
                late.symlink_to(sockets)

    monkeypatch.setattr(migrations, "logger", Starter())
    Empty(database.settings.database_url.replace(str(sockets), str(late))).commands().upgrade()
    assert database.query(VERSION) == [(LATEST,)]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://postgres@/tasks?host=/nowhere", "No such file or directory"),
        ("postgresql://postgres@127.0.0.1:1/tasks", "Connect call failed"),
    ],
)
def test_database_that_never_comes_up_is_one_sentence(url: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "START_SECONDS", 0.1)
    with pytest.raises(MigrationError, match=rf"^DATABASE_URL names a database that cannot be reached: .*{reason}"):
        Empty(url).commands().upgrade()


def test_database_that_does_not_exist_is_not_waited_for(database: Empty) -> None:
    absent = database.settings.database_url.replace("/t", "/absent", 1)
    with capture_logs() as logs, pytest.raises(MigrationError, match=r'"absent\w+" does not exist$') as refused:
        Empty(absent).commands().upgrade()
    assert str(refused.value).startswith("DATABASE_URL ")
    assert not logs

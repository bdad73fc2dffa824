"""The documented way to a migration leads to one."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from app.db import migrations
from app.settings import Settings
from tests.documents.blocks import the_block
from tests.processes import ROOT, copied_project, environment


@pytest.fixture
def migrated(create_database: Callable[[], str], settings: Settings) -> Settings:
    migrated = replace(settings, database_url=create_database())
    migrations.upgrade(migrated)
    return migrated


def test_documented_commands_make_a_migration_apply_it_and_find_nothing_left_to_do(migrated: Settings) -> None:
    block = the_block("docs/development.md", "bash", "make-migrations").replace("uv run ", "")
    variables = {"DATABASE_URL": migrated.database_url, "BETTER_AUTH_SECRET": migrated.better_auth_secret}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with copied_project() as folder:
        shutil.copy(ROOT / "pyproject.toml", folder)
        models = folder / "app" / "models.py"
        models.write_text(
            models.read_text().replace("    due_date: ", "    estimate_minutes: Mapped[int | None]\n    due_date: ")
        )
        before = set(folder.glob("migrations/versions/*.py"))
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=folder,
            env=environment(**variables, PATH=path),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        [made] = set(folder.glob("migrations/versions/*.py")) - before
        assert 'op.add_column("tasks", ' in made.read_text()


async def test_index_is_built_as_documented_and_again_after_a_build_that_failed(migrated: Settings) -> None:
    code = the_block("docs/development.md", "python", "autocommit_block").replace('"…"', '"title"')

    def migrate(connection: Connection) -> None:
        context = MigrationContext.configure(connection, opts={"transaction_per_migration": True})
        with context.begin_transaction(_per_migration=True), Operations.context(context) as op:
            exec(code, {"op": op})  # noqa: S102 - our own documentation

    for _ in range(2):
        await migrations.run(migrations.create_engine(migrated), migrate)

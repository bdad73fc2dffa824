"""What import-linter cannot say about the layout; the direction of imports stands in pyproject.toml."""

import subprocess
import sys
from pathlib import Path

from msgspec import structs

from app.models import TASKS
from app.tasks.json import HIDDEN
from app.tasks.one_task import WRITABLE
from app.tasks.schemas import Task, TaskCreate, TaskUpdate

APP = Path("app")
FILES = [path for path in APP.rglob("*.py") if path.read_text()]


def test_imports_point_one_way() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout.decode()


def test_the_environment_is_read_in_the_settings_only() -> None:
    readers = {path for path in FILES if "os.environ" in path.read_text() or "getenv" in path.read_text()}
    assert {path for path in readers if path.parent != APP / "development"} == {APP / "settings.py"}


def test_there_is_no_room_without_a_name() -> None:
    vague = {"utils", "helpers", "core", "services", "managers", "common", "misc"}
    assert not {path for path in APP.rglob("*") if path.stem in vague}


def test_every_feature_has_the_same_rooms() -> None:
    for feature in ("tasks", "users"):
        files = {path.name for path in (APP / feature).glob("*.py")}
        assert {"controller.py", "openapi.py", "repository.py", "schemas.py"} <= files


def test_a_worker_does_without_what_only_migrations_need() -> None:
    imported = "import sys, app.server, app.cli, app.asgi; sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", imported], check=False).returncode == 0


def test_the_schemas_have_the_fields_that_the_table_has() -> None:
    shown = [column.name for column in TASKS.c if column.name not in HIDDEN]
    assert [field.name for field in structs.fields(Task)] == [*shown, "deleted_at"]
    written = [column.name for column in WRITABLE]
    assert [field.name for field in structs.fields(TaskUpdate)] == written
    assert [field.name for field in structs.fields(TaskCreate) if field.name != "uid"] == written

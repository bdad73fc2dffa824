"""Imports point one way, as docs/architecture.md draws it; a wall that is moved has to be moved here too."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

APP = Path("app")

LAYERS = [
    {"app.development"},
    {"app.settings", "app.server"},
    {"app.db"},
    {"app.errors", "app.auth"},
    {"app.http", "app.logs"},
    {"app.users.model", "app.tasks.model"},
    {"app.tasks"},
    {"app.users"},
    {"app.health", "app.docs", "app.document", "app.server"},
    {"app.cli"},
    {"app.asgi"},
]
PARTS = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}


def module_of(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def rank(module: str) -> int:
    names = module.split(".")
    for length in range(len(names), 0, -1):
        if (part := ".".join(names[:length])) in PARTS:
            return PARTS[part]
    raise AssertionError(f"{module} stands in no layer: name it in LAYERS")


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            packages = {f"{node.module}.{alias.name}" for alias in node.names}
            known = {module_of(file) for file in APP.rglob("*.py")}
            found |= {name if name in known else node.module for name in packages}
    return {name for name in found if name.startswith("app.")}


FILES = sorted(path for path in APP.rglob("*.py") if path != APP / "__init__.py" and path.read_text())


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_module_imports_only_what_stands_below_it(path: Path) -> None:
    module = module_of(path)
    for imported in imports_of(path):
        if imported.rpartition(".")[0] != module.rpartition(".")[0]:
            assert rank(imported) <= rank(module), f"{module} imports {imported}"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_nobody_imports_the_composition_root_and_no_shared_part_knows_a_feature(path: Path) -> None:
    imported = imports_of(path)
    assert "app.asgi" not in imported
    if path.parent.name in {"auth", "db", "http"} or path == APP / "errors.py":
        assert not {name for name in imported if name.split(".")[1] in {"tasks", "users"}}


def test_the_environment_is_read_in_one_file_only() -> None:
    readers = {path for path in FILES if "os.environ" in path.read_text() or "getenv" in path.read_text()}
    assert readers <= {APP / "settings.py", *(APP / "development").glob("*.py")}


def test_there_is_no_room_without_a_name() -> None:
    vague = {"utils", "helpers", "core", "services", "managers", "common", "misc"}
    assert not {path for path in APP.rglob("*") if path.stem in vague}


def test_every_feature_has_the_same_rooms() -> None:
    for feature in ("tasks", "users"):
        files = {path.name for path in (APP / feature).glob("*.py")}
        assert {"model.py", "schemas.py", "repository.py", "controller.py"} <= files


def test_a_worker_does_without_what_only_migrations_need() -> None:
    imported = "import sys, app.server, app.cli, app.asgi; sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", imported], check=False).returncode == 0

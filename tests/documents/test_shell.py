"""Every command in the documentation exists and takes these options; a program that nothing here knows is a failure."""

import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Final

import click
import pytest
from click.testing import CliRunner

from app.cli import Commands
from app.settings import Settings
from tests.clients.clients import CLIENTS
from tests.documents import ci
from tests.documents.blocks import Block, blocks, commands, the_block
from tests.documents.deploying import DEPLOYING
from tests.processes import ROOT, environment

Words = tuple[str, ...]

UNCHECKED: Final = ("export", ".")  # of the user's own shell
COMMANDS: Final = sorted({words for block in blocks("bash") for words in commands(block)})


def check_litestar(words: Words) -> None:
    cli = click.Group()
    Commands(Settings(database_url="postgresql://localhost/tasks")).on_cli_init(cli)
    asked = CliRunner().invoke(cli, [*words[1:], "--help"])  # which comes after the options have been read
    assert asked.exit_code == 0, asked.output


def check_python(words: Words) -> None:
    if words[:3] == ("python3", "-m", "venv"):
        return  # the next test runs it
    if words[1] == "docs/operations/dashboard.py":
        return  # tests/operations/test_alerts.py compares what it builds
    if words[1] == "docs/operations/capacity.py":
        subprocess.run([sys.executable, *words[1:]], cwd=ROOT, check=True, capture_output=True)
        return
    flag, name, *options = words[1:]
    assert flag == "-m"
    path = ROOT / name.replace(".", "/")
    file = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
    if "@click.command" not in file.read_text():
        assert not options
        return
    module = importlib.import_module(f"{name}.__main__" if path.is_dir() else name)
    asked = CliRunner().invoke(module.main, [*options, "--help"])
    assert asked.exit_code == 0, asked.output


def check_pytest(words: Words) -> None:
    assert all((ROOT / word).exists() for word in words if "/" in word and not word.startswith("-"))


def check_podman(words: Words) -> None:
    """Images are not built here: their file is looked at in tests/test_documentation.py, the command inside here."""
    if words[1] == "build":
        assert (ROOT / words[-1] / "Containerfile").is_file()
        assert all(
            (ROOT / ".ci" / word.partition("=")[2]).is_file() for word in words if word.startswith("REQUIREMENTS=")
        )
    else:
        inside = words[words.index("litestar-tasks") + 1 :]
        assert not inside or inside in COMMANDS


def check_uv(words: Words) -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert words[:3] == ("uv", "sync", "--no-dev")
    assert set(words[3:]) <= {"--group", *groups}


def check_locust(words: Words) -> None:
    assert (ROOT / words[words.index("-f") + 1]).is_file()  # tests/load/test_locust.py lets it run


def check_apt_get(words: Words) -> None:
    assert set(words[2:]) <= ci.packages()


def check_lint(words: Words) -> None:
    assert words in ci.lint_commands()


def check_pip(words: Words) -> None:
    assert words == ("pip", "install", "uv")
    assert "pip install --quiet uv" in ci.SCRIPT


def check_script(words: Words) -> None:
    assert words[0] in ci.SCRIPT.splitlines()


def check_setting(words: Words) -> None:
    name, _, value = words[0].partition("=")
    assert value
    assert name.lower() in {field.name for field in fields(Settings)}


def run_with_a_client(words: Words) -> None:
    command = " ".join(words)
    if not any(command.startswith(client.generator) for client in CLIENTS):  # which tests/clients/ runs
        assert command in (ROOT / "docs" / "authentication.md").read_text()  # where tests/frontend/site.py finds it


def run_by_the_test_of_the_readme(words: Words) -> None:
    assert words[1].startswith("http://127.0.0.1:8000/")


def check_hooks(words: Words) -> None:
    assert words[:2] == ("uvx", "pre-commit")
    assert (ROOT / ".pre-commit-config.yaml").is_file()


def run_by_the_drill(words: Words) -> None:
    """tests/operations/ takes each of these blocks out of the page by a text that stands in it."""
    text = (ROOT / "tests" / "operations" / "test_restore.py").read_text()
    taken = [
        the_block("docs/operations.md", "bash", part) for part in re.findall(r'documented\("bash", "(.*?)"\)', text)
    ]
    assert any(words in commands(Block("", 0, "bash", block)) for block in taken)


def run_on_a_log(words: Words) -> None:
    """tests/faults/test_alerts.py takes each of these out of the page by a text that stands in it."""
    text = (ROOT / "tests" / "faults" / "test_alerts.py").read_text()
    assert any(code in text for code in re.findall(r'"[a-z_ ]+"|\.status == \d+', words[2]))


def check_promtool(words: Words) -> None:
    assert all((ROOT / word).is_file() for word in words[3:])  # tests/operations/test_alerts.py lets it run


def check_verification(words: Words) -> None:
    """The program of the embedded PostgreSQL 18.4 crashes when asked for its version, so it cannot be run."""
    backup = next(words for words in COMMANDS if words[0] == "pg_basebackup")
    assert f"--pgdata={words[1]}" in backup


def check_neon(words: Words) -> None:
    """Commands and options are those that version 5.0.1 of the npm package neonctl prints with --help."""
    command, arguments, options = next(one for one in NEON if " ".join(words[1:]).startswith(one[0]))
    rest = words[1 + len(command.split()) :]
    given = [(rest[at], rest[at + 1 : at + 2]) for at in range(len(rest)) if rest[at].startswith("--")]
    flags = {name for name, value in given if not value or value[0].startswith("--")}
    assert {name for name, _ in given} <= options
    assert flags <= {"--finalize"}
    assert len(rest) - 2 * len(given) + len(flags) == arguments


NEON: Final = [
    ("branches create", 0, {"--name", "--parent", "--expires-at"}),
    ("branches restore", 2, {"--preserve-under-name"}),
    ("connection-string", 1, {"--role-name", "--database-name"}),
    ("snapshots create", 0, {"--branch", "--name", "--expires-at"}),
    ("snapshots restore", 1, {"--target-branch", "--finalize"}),
]
"""Commands, how many arguments they take, and options that we use."""

CHECKS: Final[dict[str, Callable[[Words], None]]] = DEPLOYING | {
    ".ci/pgbouncer": check_script,
    "apt-get": check_apt_get,
    "curl": run_by_the_test_of_the_readme,
    "echo": run_by_the_drill,
    "jq": run_on_a_log,
    "lint-imports": check_lint,
    "litestar": check_litestar,
    "locust": check_locust,
    "mypy": check_lint,
    "neon": check_neon,
    "npx": run_with_a_client,
    "openapi-python-client": run_with_a_client,
    "pg_basebackup": run_by_the_drill,
    "pg_dump": run_by_the_drill,
    "pg_restore": run_by_the_drill,
    "pg_verifybackup": check_verification,
    "pip": check_pip,
    "podman": check_podman,
    "promtool": check_promtool,
    "pytest": check_pytest,
    "python": check_python,
    "python3": check_python,
    "ruff": check_lint,
    "uv": check_uv,
    "uvx": check_hooks,
}


@pytest.mark.parametrize("words", [words for words in COMMANDS if not words[0].startswith(UNCHECKED)], ids=" ".join)
def test_command_exists_and_takes_its_options(words: Words) -> None:
    check = check_setting if "=" in words[0] else CHECKS[words[0]]
    check(words)


def test_pytest_takes_every_documented_option() -> None:
    given = {word: None for words in COMMANDS if words[0] == "pytest" for word in words[1:] if "/" not in word}
    asked = [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/tasks/test_cursor.py", *given]
    done = subprocess.run(asked, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_virtual_environment_of_the_readme_is_one_in_which_pip_may_install_and_uv_runs(tmp_path: Path) -> None:
    [line] = [block.text for block in blocks("bash") if block.text.startswith("python3 -m venv .venv")]
    asks = "import sys; print(sys.prefix != sys.base_prefix, sys.prefix)"
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "empty"\nversion = "1"\n')
    script = f"{line}python -c '{asks}'; pip install --dry-run pip >/dev/null; uv run --offline python -c '{asks}'"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [f"True {tmp_path / '.venv'}"] * 2, done.stderr

"""The hooks before a commit check what CI checks before the tests."""

import re
from fnmatch import fnmatch
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.documents import ci
from tests.processes import ROOT


def hooks() -> list[dict[str, Any]]:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    return [hook for repository in config["repos"] for hook in repository["hooks"]]


def words(hook: dict[str, Any]) -> tuple[str, ...]:
    return tuple(hook["entry"].removeprefix("uv run ").split())


@pytest.mark.parametrize("command", ci.lint_commands(), ids=" ".join)
def test_each_lint_command_of_ci_is_a_hook(command: tuple[str, ...]) -> None:
    files = [word for word in command if word.endswith(".py")]
    [hook] = [hook for hook in hooks() if words(hook) == command[: len(command) - len(files)]]
    assert hook.get("pass_filenames", True) == bool(files)


def test_hooks_run_nothing_that_ci_does_not_and_download_nothing() -> None:
    commands = {tuple(word for word in command if not word.endswith(".py")) for command in ci.lint_commands()}
    assert {words(hook) for hook in hooks()} == commands
    assert all(hook["language"] == "system" and hook["entry"].startswith("uv run ") for hook in hooks())


def test_hook_for_the_peers_gets_the_files_that_ci_checks_there() -> None:
    [hook] = [hook for hook in hooks() if hook["id"] == "mypy-peers"]
    [command] = [command for command in ci.lint_commands() if "--python-executable" in command]
    patterns = [word for word in command if word.endswith(".py")]
    for path in ROOT.glob("tests/**/*.py"):
        name = str(path.relative_to(ROOT))
        checked = any(fnmatch(name, pattern) for pattern in patterns)
        assert bool(re.search(hook["files"], name)) == checked, name

"""Every variable that a file of docs/deployment names is one that the service reads, or its neighbour."""

import re
from collections.abc import Set as AbstractSet
from dataclasses import fields
from pathlib import Path

import pytest

from app.settings import Settings
from tests.deployment.files import command_line_variables, every_file
from tests.processes import ROOT

OURS = {field.name.upper() for field in fields(Settings)} - {"DEVELOPMENT"} | {*command_line_variables()}
FAMILIES = frozenset({"AF_INET", "AF_INET6", "AF_UNIX"})
OTHERS: dict[str, AbstractSet[str]] = {
    "compose.yaml": {"DOMAIN", "POSTGRES_DB", "POSTGRES_PASSWORD", "TASKS_APP_PASSWORD", "TASKS_OWNER_PASSWORD"}
    | {"NET_BIND_SERVICE"},  # a capability
    ".env.example": {"DOMAIN", "POSTGRES_PASSWORD", "TASKS_APP_PASSWORD", "TASKS_OWNER_PASSWORD"},
    "Caddyfile": {"DOMAIN"},
    "railway.json": {"ON_FAILURE"},  # a policy
    "roles.sql": {"TASKS_APP_PASSWORD", "TASKS_OWNER_PASSWORD"},
    **dict.fromkeys(("litestar-tasks.service", "litestar-tasks-migrate.service"), FAMILIES),
}
"""What the neighbours in a file read, and other words that look like variables."""


def named(path: Path) -> set[str]:
    return set(re.findall(r"\b(?:[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|DOMAIN|PORT)\b", path.read_text()))


@pytest.mark.parametrize("path", every_file(), ids=lambda path: path.name)
def test_every_variable_is_read_by_somebody(path: Path) -> None:
    assert named(path) - OTHERS.get(path.name, set()) <= OURS


def test_every_exception_is_there() -> None:
    by_name = {path.name: path for path in every_file()}
    for name, words in OTHERS.items():
        assert words <= named(by_name[name]), name


def test_the_page_names_every_file_and_no_other_variable() -> None:
    page = (ROOT / "docs" / "deployment.md").read_text()
    folder = ROOT / "docs"
    links = {folder / link for link in re.findall(r"\]\((deployment/[^)]+)\)", page)}
    assert links == {*every_file()}
    words = re.findall(r"\b([A-Z]+_[A-Z_]+|PORT)=?\b", re.sub(r"```sql.*?```", "", page, flags=re.DOTALL))
    assert set(words) - OURS <= {word for words in OTHERS.values() for word in words}

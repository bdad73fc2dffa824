"""docs/security.md says what is so: limits, answers, requirements of ASVS 5.0 level 1, and the tests that show them."""

import ast
import re
from typing import Any, Final

import asyncpg
import httpx
from litestar import Litestar
from litestar.routes import HTTPRoute

from app.settings import Settings
from tests.conftest import STREAM
from tests.processes import ROOT

TEXT: Final = (ROOT / "docs" / "security.md").read_text()
README: Final = (ROOT / "README.md").read_text()
API: Final = (ROOT / "docs" / "api.md").read_text()

LEVEL_1: Final = re.findall(
    r"\S+",
    """
    1.2.1 1.2.2 1.2.3 1.2.4 1.2.5 1.3.1 1.3.2 1.5.1 2.1.1 2.2.1 2.2.2 2.3.1 3.2.1 3.2.2 3.3.1 3.4.1 3.4.2
    3.5.1 3.5.2 3.5.3 4.1.1 4.4.1 5.2.1 5.2.2 5.3.1 5.3.2 6.1.1 6.2.1 6.2.2 6.2.3 6.2.4 6.2.5 6.2.6 6.2.7
    6.2.8 6.3.1 6.3.2 6.4.1 6.4.2 7.2.1 7.2.2 7.2.3 7.2.4 7.4.1 7.4.2 8.1.1 8.2.1 8.2.2 8.3.1 9.1.1 9.1.2
    9.1.3 9.2.1 10.4.1 10.4.2 10.4.3 10.4.4 10.4.5 11.3.1 11.3.2 11.4.1 12.1.1 12.2.1 12.2.2 13.4.1 14.2.1
    14.3.1 15.1.1 15.2.1 15.3.1
    """,
)
"""The requirements of level 1 in OWASP's list of version 5.0.0."""

FORBIDDEN_CALLS: Final = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_MODULES: Final = {"marshal", "pickle", "shelve", "subprocess", "xml", "yaml"}


def rows(heading: str) -> list[list[str]]:
    """The cells of each row of the tables under a heading."""
    [section] = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", TEXT, flags=re.DOTALL | re.MULTILINE)
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_each_requirement_of_level_1_has_its_place() -> None:
    cells = [row[0] for row in rows("OWASP ASVS 5.0, level 1")]
    listed = [number for cell in cells for number in re.findall(r"\d+\.\d+\.\d+", cell)]
    assert sorted(listed) == sorted(LEVEL_1)


def test_each_test_that_is_named_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)
    assert named
    missing = [f"{file}::{name}" for file, name in named if f"def {name}(" not in (ROOT / file).read_text()]
    assert missing == []


def test_each_requirement_that_is_met_by_code_names_a_test() -> None:
    met = [row for row in rows("OWASP ASVS 5.0, level 1") if row[2] in {"yes", "by setting", "by the proxy"}]
    assert met
    assert [row[0] for row in met if "::" not in row[3] and "same test" not in row[3].lower()] == []


def test_limits_have_the_defaults_of_the_settings() -> None:
    documented = dict(re.findall(r"^\| `([A-Z_]+)` \| (`[^`]*`|-) \|", README, flags=re.MULTILINE))
    limits = {row[1].strip("`"): row[2] for row in rows("Limits") if row[1].startswith("`")}
    assert limits.pop("DATABASE_READS_PER_USER") == "half of the connections"
    assert limits == {name: documented[name] for name in limits}
    bounded = {name for name in documented if re.match(r"(MAX_|RATE_LIMIT)|.*(_PER_USER|_TIMEOUT)$", name)}
    unlisted = {"DATABASE_COLD_START_TIMEOUT", "DATABASE_CONNECT_TIMEOUT", "RATE_LIMIT_URL", "SHUTDOWN_TIMEOUT"}
    assert bounded - unlisted - {"DATABASE_READS_PER_USER"} <= limits.keys()


def test_answers_of_limits_are_documented_ones() -> None:
    known = set(re.findall(r"^\| ([45]\d\d) \| `([a-z_]+)` \|", API, flags=re.MULTILINE))
    named = {pair for row in rows("Limits") for pair in re.findall(r"([45]\d\d) `([a-z_]+)`", row[3])}
    assert named
    assert named <= known


def test_what_serves_requests_runs_no_command_no_code_and_reads_no_pickle_or_xml() -> None:
    paths = [path for path in ROOT.glob("app/**/*.py") if "development" not in path.parts]
    assert paths
    found = [f"{path.name}: {name}" for path in paths for name in dangerous(ast.parse(path.read_text()))]
    assert found == []


def test_the_check_finds_what_it_is_for() -> None:
    code = "import subprocess\nfrom xml.etree import ElementTree\nimport os\nos.system('')\neval('')\n'eval'"
    assert sorted(dangerous(ast.parse(code))) == sorted(["subprocess", "xml", "system", "eval"])


def dangerous(tree: ast.Module) -> list[str]:
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Import(names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module)):
                modules = [module]
            case ast.Call(func=ast.Name(id=name)) if name in FORBIDDEN_CALLS:
                found.append(name)
                continue
            case ast.Attribute(value=ast.Name(id="os"), attr="system" | "popen" as name):
                found.append(name)
                continue
            case _:
                continue
        found += [root for module in modules if (root := module.partition(".")[0]) in FORBIDDEN_MODULES]
    return found


async def test_safe_methods_change_nothing(
    app: Litestar, settings: Settings, client: httpx.AsyncClient, user_id: str
) -> None:
    created = (await client.post("/api/me/tasks", json={"title": "Milk"})).json()
    before = await stored(settings, user_id)
    routes = [route for route in app.routes if isinstance(route, HTTPRoute)]
    readable = [route for route in routes if "GET" in route.methods and route.path_format != STREAM]
    paths = {route.path.replace("{user_id:str}", "me") for route in readable}
    statuses = set()
    for path in paths:
        address = re.sub(r"\{task_id[^}]*\}", str(created["id"]), path)
        for method in ("GET", "HEAD", "OPTIONS"):
            statuses.add((await client.request(method, address)).status_code)
    assert 200 in statuses
    assert await stored(settings, user_id) == before


async def stored(settings: Settings, user_id: str) -> tuple[list[Any], list[Any]]:
    connection = await asyncpg.connect(settings.database_url)
    try:
        users = await connection.fetch("SELECT id, revision FROM users WHERE id = $1", user_id)
        return users, await connection.fetch("SELECT id, revision, updated_at FROM tasks WHERE user_id = $1", user_id)
    finally:
        await connection.close()


def test_the_image_is_built_from_the_application_alone() -> None:
    everything, *exceptions = (ROOT / ".containerignore").read_text().split()
    requirements = ["!.ci/requirements-telemetry.txt", "!.ci/requirements.txt"]
    assert (everything, sorted(exceptions)) == ("*", [*requirements, "!app", "!migrations", "**/__pycache__"])
    copied = re.findall(r"^COPY (?!--from)(\S+) ", (ROOT / "Containerfile").read_text(), flags=re.MULTILINE)
    assert sorted(copied) == [".ci/$REQUIREMENTS", "app", "migrations"]
    assert (ROOT / ".dockerignore").read_text() == (ROOT / ".containerignore").read_text()  # the same for Docker

"""docs/deployment.md does what it says: its SQL gives least privilege, its manifest fits the service."""

import asyncio
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import yaml  # type: ignore[import-untyped]
from litestar import Litestar
from litestar.routes import HTTPRoute

from app.db import migrations
from app.settings import Settings
from tests.conftest import client_of, random_user, running

TEXT = (Path(__file__).parents[1] / "docs" / "deployment.md").read_text()
NEON = re.search(r"^## Neon\n(.*?)^## ", TEXT, flags=re.DOTALL | re.MULTILINE)
assert NEON
STATEMENTS = re.findall(r"```sql\n(.*?)```", NEON[1], flags=re.DOTALL)
METHODS = ["POST", "GET", "PUT", "PATCH", "DELETE"]


@pytest.fixture(scope="module")
def roles(create_database: Callable[[], str], settings: Settings) -> Iterator[Settings]:
    """Settings with the documented roles, in a database that belongs to a role like the one of Neon's console."""
    address = create_database()
    name, suffix = urlsplit(address).path[1:], secrets.token_hex(4)
    console, owner, app = (f"{role}_{suffix}" for role in ("console", "owner", "app"))
    everything, granting = "".join(STATEMENTS[:-1]), STATEMENTS[-1]

    def run(url: str, statements: str) -> None:
        asyncio.run(execute(url, statements))

    def documented(text: str) -> str:
        return text.replace("tasks_owner", owner).replace("tasks_app", app).replace("neondb", name)

    def of(role: str) -> str:
        return address.replace("postgres:@", f"{role}@")

    run(address, f"CREATE ROLE {console} LOGIN CREATEROLE; ALTER DATABASE {name} OWNER TO {console}")
    run(of(console), documented(everything))
    given = replace(settings, database_url=of(app), database_url_unpooled=of(owner))
    migrations.upgrade(given)
    run(of(owner), documented(granting))
    yield given
    run(address, f"REASSIGN OWNED BY {console}, {owner} TO postgres; DROP OWNED BY {console}, {owner}, {app}")
    run(address, f"DROP ROLE {app}; DROP ROLE {owner}; DROP ROLE {console}")


async def execute(url: str, statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()


def operations(app: Litestar) -> list[tuple[str, str]]:
    """Every method and path below /api, in an order in which each finds what it needs."""
    found = {
        (method, route.path_format)
        for route in app.routes
        if isinstance(route, HTTPRoute) and route.path_format.startswith("/api/")
        for method in route.methods & {*METHODS}
    }
    return sorted(found, key=lambda operation: (METHODS.index(operation[0]), -len(operation[1])))


async def test_role_of_the_application_is_enough_for_every_route(roles: Settings) -> None:
    async with running(roles) as app, client_of(app, roles, random_user()) as client:
        task = None
        for method, path in operations(app):
            body = {"title": "x"} if method in {"POST", "PUT", "PATCH"} else None
            answer = await client.request(method, path.format(user_id="me", task_id=task), json=body)
            assert answer.is_success, (method, path, answer.text)
            if method == "POST":
                task = answer.json()["id"]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT FROM tasks_version",
        "TRUNCATE tasks",
        "ALTER TABLE tasks ADD COLUMN colour text",
        "DROP TABLE users",
        "CREATE TABLE mine (id int)",
        "SELECT setval('tasks_id_seq', 1)",
    ],
)
async def test_role_of_the_application_can_do_no_more_than_that(roles: Settings, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await execute(roles.database_url, statement)


async def test_timeouts_hold_for_the_application_and_not_for_migrations(roles: Settings) -> None:
    assert roles.database_url_unpooled
    for name, seconds in re.findall(r"SET (\w+_timeout) = '(\d+)s'", STATEMENTS[1]):
        for url, expected in ((roles.database_url, f"{seconds}s"), (roles.database_url_unpooled, "0")):
            connection = await asyncpg.connect(url)
            assert await connection.fetchval(f"SHOW {name}") == expected
            await connection.close()
        assert int(seconds) > roles.database_timeout


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    [block] = re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)
    return {document["kind"]: document for document in yaml.safe_load_all(block)}


def pod(document: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    spec = document["spec"]["template"]["spec"]
    [container] = spec["containers"]
    return spec, container


def test_manifest_selects_its_own_pods_and_their_port(manifest: dict[str, Any]) -> None:
    assert manifest.keys() == {"Job", "Deployment", "Service"}
    deployment, service = manifest["Deployment"]["spec"], manifest["Service"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == service["selector"] == labels
    [port] = pod(manifest["Deployment"])[1]["ports"]
    assert [entry["targetPort"] for entry in service["ports"]] == [port["name"]]
    assert port["containerPort"] == 8000


def test_manifest_probes_routes_that_ask_no_database(manifest: dict[str, Any]) -> None:
    _, container = pod(manifest["Deployment"])
    paths = {name: probe["httpGet"]["path"] for name, probe in container.items() if name.endswith("Probe")}
    assert paths == {"startupProbe": "/health", "readinessProbe": "/ready", "livenessProbe": "/health"}


def test_manifest_leaves_time_to_finish_accepted_requests(manifest: dict[str, Any]) -> None:
    spec, container = pod(manifest["Deployment"])
    [_, pause] = container["lifecycle"]["preStop"]["exec"]["command"]
    assert spec["terminationGracePeriodSeconds"] > int(pause) + 10  # within which the server ends


def test_manifest_migrates_with_a_documented_command_and_only_there_with_the_owner(manifest: dict[str, Any]) -> None:
    job, deployment = pod(manifest["Job"])[1], pod(manifest["Deployment"])[1]
    assert f"\n{' '.join(job['command'])}\n" in TEXT
    assert job["image"] == deployment["image"]
    owner = {"secretRef": {"name": "litestar-tasks-owner"}}
    assert owner in job["envFrom"]
    assert owner not in deployment["envFrom"]


def test_variables_that_are_named_are_settings_or_those_of_the_command_line() -> None:
    named = set(re.findall(r"\b([A-Z]+_[A-Z_]+|PORT)=?\b", re.sub(r"```sql.*?```", "", TEXT, flags=re.DOTALL)))
    settings = {field.name.upper() for field in fields(Settings)}
    assert named - settings <= {"PORT", "WEB_CONCURRENCY", "SHUTDOWN_TIMEOUT"}

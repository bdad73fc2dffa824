"""docs/deployment.md does what it says: its SQL gives least privilege, and so does that of the compose file."""

import asyncio
import re
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlsplit

import asyncpg
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

from app import purge
from app.db import migrations
from app.settings import Settings
from tests.conftest import STREAM, client_of, random_user, running
from tests.deployment.files import text
from tests.processes import ROOT, environment

TEXT = (ROOT / "docs" / "deployment.md").read_text()
NEON = re.search(r"^## Neon\n(.*?)^## ", TEXT, flags=re.DOTALL | re.MULTILINE)
assert NEON
STATEMENTS = re.findall(r"```sql\n(.*?)```", NEON[1], flags=re.DOTALL)
METHODS = ["POST", "GET", "PUT", "PATCH", "DELETE"]

CREATE = ("POST", "/api/{user_id}/tasks")
OPERATIONS = [{"op": "put", "uid": "named-by-a-batch", "data": {"title": "x"}}]
"""Of a batch; other bodies ignore them."""


@pytest.fixture(scope="module", params=["neon", "compose"])
def roles(request: pytest.FixtureRequest, create_database: Callable[[], str], settings: Settings) -> Iterator[Settings]:
    """Settings with the documented roles: on Neon, below a role like that of its console, and in PostgreSQL's image."""
    address = create_database()
    name, suffix = urlsplit(address).path[1:], secrets.token_hex(4)
    console, owner, app = (f"{role}_{suffix}" for role in ("console", "owner", "app"))
    everything, granting = "".join(STATEMENTS[:-1]), STATEMENTS[-1]

    def run(url: str, statements: str) -> None:
        asyncio.run(execute(url, statements))

    def documented(text: str) -> str:
        renamed = text.replace("tasks_owner", owner).replace("tasks_app", app)
        return renamed.replace("neondb", name).replace("DATABASE tasks", f"DATABASE {name}")

    def of(role: str) -> str:
        return address.replace("postgres:@", f"{role}@")

    run(address, f"CREATE ROLE {console} LOGIN CREATEROLE; ALTER DATABASE {name} OWNER TO {console}")
    if request.param == "neon":
        run(of(console), documented(everything))
    elif shutil.which("psql") is None:
        pytest.skip("needs psql on the PATH")
    else:
        initialize(address, documented(text("compose/roles.sql")))
    given = replace(settings, database_url=of(app), database_url_unpooled=of(owner))
    migrations.upgrade(given)
    if request.param == "neon":
        run(of(owner), documented(granting))
    yield given
    run(address, f"REASSIGN OWNED BY {console}, {owner} TO postgres")
    run(address, f"DROP OWNED BY {app}; DROP OWNED BY {console}, {owner}")
    run(address, f"DROP ROLE {app}; DROP ROLE {owner}; DROP ROLE {console}")


def initialize(address: str, script: str) -> None:
    """Run a script as PostgreSQL's image does."""
    subprocess.run(
        ["psql", "--no-psqlrc", "--set=ON_ERROR_STOP=1", address],
        input=script,
        env=environment(TASKS_APP_PASSWORD="it's", TASKS_OWNER_PASSWORD="\\"),
        capture_output=True,
        text=True,
        check=True,
    )


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
    return sorted(found, key=lambda operation: (METHODS.index(operation[0]), operation != CREATE, -len(operation[1])))


async def test_role_of_the_application_is_enough_for_every_route(roles: Settings) -> None:
    async with running(roles) as app, client_of(app, roles, random_user()) as client:
        task = None
        for method, path in operations(app):
            if path == STREAM:
                continue
            body = {"title": "x", "operations": OPERATIONS} if method in {"POST", "PUT", "PATCH"} else None
            answer = await client.request(method, path.format(user_id="me", task_id=task), json=body)
            assert answer.is_success, (method, path, answer.text)
            if (method, path) == CREATE:
                task = answer.json()["id"]


async def test_role_of_the_application_is_enough_to_remove_deleted_tasks(roles: Settings) -> None:
    async with running(roles) as app, client_of(app, roles, random_user()) as client:
        task = (await client.post("/api/me/tasks", json={"title": "x"})).json()
        assert (await client.delete(f"/api/me/tasks/{task['id']}")).status_code == 204
    done = purge.Sum()
    await purge.run(roles, timedelta(), task["user_id"], done, dry_run=False)
    assert done.tasks == 1


@pytest.mark.parametrize(
    "statement",
    [
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


@pytest.mark.parametrize("roles", ["neon"], indirect=True)  # in the compose file all that the owner makes is granted
async def test_role_of_the_application_does_not_see_the_version_of_the_schema(roles: Settings) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await execute(roles.database_url, "SELECT FROM tasks_version")


async def test_timeouts_hold_for_the_application_and_not_for_migrations(roles: Settings) -> None:
    assert roles.database_url_unpooled
    for name, seconds in re.findall(r"SET (\w+_timeout) = '(\d+)s'", STATEMENTS[1]):
        for url, expected in ((roles.database_url, f"{seconds}s"), (roles.database_url_unpooled, "0")):
            connection = await asyncpg.connect(url)
            assert await connection.fetchval(f"SHOW {name}") == expected
            await connection.close()
        assert int(seconds) > roles.database_timeout

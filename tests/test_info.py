"""`litestar info`, `routes` and `schema` tell the truth about this application."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import httpx
import pytest
from click.testing import CliRunner
from litestar import __version__ as litestar

from app.cli import Commands
from app.info import facts
from app.settings import VERSION, Settings
from tests.processes import Server, command, copied_project

PRODUCTION = {
    "DATABASE_URL": "postgresql://me:hushhush@db.example.com/tasks?sslmode=require",
    "BETTER_AUTH_SECRET": "hushhush-0123456789-abcdefghijklmnop",
    "BETTER_AUTH_URL": "https://auth.example.com",
    "CORS_ORIGINS": "https://app.example.com",
}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with copied_project() as folder:
        yield folder


def printed(folder: Path, *arguments: str, **variables: str) -> str:
    ran = command(folder, "litestar", *arguments, **variables)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_info_in_production_says_what_is_set_and_nothing_secret(folder: Path) -> None:
    said = printed(folder, "info", **PRODUCTION)
    told = dict(re.findall(r"^(\w+) +(.*)$", said, flags=re.MULTILINE))
    assert told["Version"].startswith(f"{VERSION}, on Litestar {litestar.formatted(short=True)} and Python 3.")
    assert told["Database"] == "tasks on db.example.com"
    assert "https://auth.example.com/api/auth/jwks" in told["Tokens"]
    assert "HS256" in told["Tokens"]
    assert told["Browsers"] == "https://app.example.com"
    assert "hushhush" not in said


def test_there_is_no_command_for_sessions_that_there_are_not(settings: Settings) -> None:
    cli = click.Group(commands={"sessions": click.Group(), "info": click.Command("info")})
    Commands(settings).on_cli_init(cli)
    assert "sessions" not in cli.commands
    assert CliRunner().invoke(cli, ["info"]).stdout.startswith("Version ")


def test_info_follows_the_settings(settings: Settings) -> None:
    told = facts(replace(settings, cors_origins=(), compress_lists=False, direct_dispatch=False))
    assert (told["Browsers"], told["Lists"], told["Dispatch"]) == ("no other origins", "not packed", "Litestar's")
    assert told["Metrics"] == "off"
    assert facts(replace(settings, metrics_port=9464))["Metrics"] == "at 127.0.0.1, port 9464"
    table = replace(settings, better_auth_secret="", better_auth_url="https://a.example", jwks_source="database")
    assert facts(table)["Tokens"] == "those signed with the keys in Better Auth's table jwks"
    embedded = facts(replace(settings, development=True, cors_origins=()))
    assert (embedded["Database"], embedded["Browsers"]) == ("embedded, in .dev/", "every port of this machine")


def test_info_routes_and_schema_agree_with_the_running_server(folder: Path) -> None:
    printed(folder, "schema", "openapi", "--output", "said.json")
    printed(folder, "schema", "typescript", "--output", "said.ts")
    routes, info = printed(folder, "routes"), printed(folder, "info")
    server = Server(folder).serving()
    document = httpx.get(f"{server.url}/openapi.json")
    [page, source] = re.findall(r"/[\w.]+", re.findall("Documentation.*", info)[0])
    assert httpx.get(f"{server.url}{page}").headers["content-type"].startswith("text/html")
    assert httpx.get(f"{server.url}{source}").json() == document.json()
    written = httpx.Response(200, content=(folder / "said.json").read_bytes())
    assert written.json() == document.json()
    types = (folder / "said.ts").read_text()
    for path, operations in document.json()["paths"].items():
        assert re.search(re.sub(r"\\{(\w+)\\}", r"\\{\1:str\\}", re.escape(path)) + r" \(HTTP\)", routes), path
        for operation in operations.values():
            assert f"namespace {operation['operationId']} {{" in types
    assert "/schema" not in routes
    assert "/docs" not in routes  # as Litestar leaves out its own pages

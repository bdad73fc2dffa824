"""Local databases of apps, with the adapters of the documentation, on two devices of one person and a real server."""

import asyncio
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
import pytest

from app.auth.mint import mint
from app.settings import Settings
from tests.auth.better_auth import issuer
from tests.clients import clients
from tests.conftest import random_user
from tests.documents.blocks import the_block
from tests.processes import NEVER_LIMITED, ROOT, Server, command, copied_project

FOLDER: Final = Path(__file__).parent
ADAPTERS: Final = ROOT / "docs" / "examples" / "sync"
STREAMS: Final = ("live", "live-native")
NAMES: Final = ("legend-state", "rxdb", "tanstack-db", "tanstack-query", "watermelondb")
CREATED: Final = 201
DELETED: Final = 5
EXPIRING_SECONDS: Final = 10
LONGEST: Final = 30
WIDEST: Final = 120
HELD: Final = ("uid", "title", "description", "priority", "tags", "due_date", "completed", "revision")
"""What a device keeps of a task, besides the moment of its creation."""

each_adapter = pytest.mark.parametrize("name", NAMES)


def variables(settings: Settings) -> Mapping[str, str]:
    """Return what a server with these settings finds in its environment."""
    assert settings.database_url
    return {
        **NEVER_LIMITED,
        "DATABASE_URL": settings.database_url,
        "BETTER_AUTH_SECRET": settings.better_auth_secret,
    }


class Service:
    """A server that all scenarios share: what they ask for happens when each of them has come so far."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._folder = folder
        self._settings = settings
        self._variables = variables(settings)
        self._server = self._serve()
        self._barriers = {
            what: threading.Barrier(len(NAMES), getattr(self, what)) for what in ("stop", "start", "purge")
        }
        self.users: list[str] = []
        self.url = self._server.url

    def _serve(self, port: int | None = None) -> Server:
        return Server(self._folder, port=port, workers=2, options=(), **self._variables).serving()

    def do(self, what: str) -> None:
        """Wait for the other scenarios, and have it done once."""
        self._barriers[what].wait(180)

    def token(self, user: str, seconds: int = 3600) -> str:
        return mint(self._settings, user, seconds)

    def give_up(self) -> None:
        """Let nobody wait for a scenario that has ended."""
        for barrier in self._barriers.values():
            barrier.abort()

    def stop(self) -> None:
        self._server.terminate()

    def start(self) -> None:
        self._server = self._serve(self._server.port)

    def purge(self) -> None:
        """Forget every deletion, by the command, as if three months had passed."""
        asyncio.run(self._age())
        ran = command(self._folder, "litestar", "tasks", "purge", "--older-than", "90d", **self._variables)
        assert ran.returncode == 0, ran.stdout + ran.stderr

    async def _age(self) -> None:
        connection = await asyncpg.connect(self._settings.database_url)
        try:
            await connection.execute(
                "UPDATE tasks SET deleted_at = deleted_at - interval '91 days' WHERE user_id = ANY($1::text[])",
                self.users,
            )
        finally:
            await connection.close()


@dataclass
class Outcome:
    """How a scenario ended: its exit code, what it printed, what both devices hold, how live updates went, and what
    the server has."""

    code: int
    printed: str
    held: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    live: str = ""
    tasks: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The adapters, the devices and what is installed, in one folder; in CI a failing installation is a failure."""
    try:
        issuer.install(FOLDER)
    except issuer.UnusableNodeError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"Local databases cannot be installed: {error}")
    folder = tmp_path_factory.mktemp("sync") / "project"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("node_modules", "*.py", "__pycache__"))
    shutil.copytree(ADAPTERS, folder / "adapters")
    (folder / "adapters" / "documented.ts").write_text(the_block("docs/sync.md", "typescript", "new Tasks("))
    shutil.copy(clients.FOLDER / "tsconfig.json", folder / "strict.json")
    (folder / "node_modules").symlink_to(FOLDER / "node_modules")
    return folder


@pytest.fixture(scope="module")
def outcomes(project: Path, settings: Settings) -> Iterator[Mapping[str, Outcome]]:
    """What becomes of every adapter, each with users of its own, side by side."""
    with copied_project() as folder:
        service = Service(folder, settings)
        users = service.users = [random_user() for _ in NAMES]
        with ThreadPoolExecutor(len(NAMES)) as threads:
            found = threads.map(lambda name, user: play(name, project, service, user), NAMES, users)
            yield dict(zip(NAMES, found, strict=True))


def play(name: str, project: Path, service: Service, user: str) -> Outcome:
    """Run the scenario with one adapter, and do to the server what it asks for."""
    token, other = service.token(user), random_user()
    given = {"PATH": os.environ["PATH"], "API_URL": service.url, "TOKEN": token}
    given["OTHER_TOKEN"] = service.token(other)
    with subprocess.Popen(
        ["npx", "tsx", "scenario.ts", name],
        cwd=project,
        env=given,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        printed = ""
        for line in program.stdout:
            asked = line.strip()
            if asked in {"stop", "start", "purge"}:
                service.do(asked)
            elif asked != "expiring":
                printed += line
                continue
            program.stdin.write(f"{service.token(other, EXPIRING_SECONDS) if asked == 'expiring' else 'done'}\n")
            program.stdin.flush()
    if program.returncode:
        service.give_up()
        return Outcome(program.returncode, printed)
    answer = httpx.get(
        f"{service.url}/api/me/tasks", params={"limit": 500}, headers={"Authorization": f"Bearer {token}"}
    )
    ended = json.loads(printed.splitlines()[-1])
    return Outcome(0, printed, ended["held"], ended["live"], answer.json())


def by_uid(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["uid"]: {"created": created(row), **{name: row[name] for name in HELD}} for row in rows}


def created(row: dict[str, Any]) -> int:
    """In milliseconds, as JavaScript counts."""
    return int(datetime.fromisoformat(row["created_at"]).timestamp() * 1000)


def test_the_adapters_compile_strictly(project: Path) -> None:
    compiled = clients.run("npx tsc", project)
    assert compiled.returncode == 0, compiled.stdout


@pytest.mark.parametrize("name", [*NAMES, *STREAMS])
def test_an_adapter_is_short(name: str) -> None:
    lines = (ADAPTERS / f"{name}.ts").read_text().splitlines()
    assert len(lines) <= LONGEST
    assert max(map(len, lines)) <= WIDEST


def test_every_adapter_is_run() -> None:
    assert {path.stem for path in ADAPTERS.glob("*.ts")} == {"tasks", *STREAMS, *NAMES}


@each_adapter
def test_both_devices_end_with_what_the_server_has(outcomes: Mapping[str, Outcome], name: str) -> None:
    outcome = outcomes[name]
    assert outcome.code == 0, outcome.printed
    there = by_uid(outcome.tasks)
    assert len(there) == CREATED - DELETED
    assert by_uid(outcome.held["phone"]) == there
    assert by_uid(outcome.held["laptop"]) == there


@each_adapter
def test_what_one_device_writes_arrives_on_the_other_by_itself_also_after_a_token_has_expired(
    outcomes: Mapping[str, Outcome], name: str
) -> None:
    assert outcomes[name].live == "arrived", outcomes[name].printed


@each_adapter
def test_edits_of_both_devices_are_kept(outcomes: Mapping[str, Outcome], name: str) -> None:
    titles = {task["title"]: task for task in outcomes[name].tasks}
    assert titles["renamed on the phone"]["completed"]
    assert ("the phone's" in titles) != ("the laptop's" in titles)
    assert titles["laptop 1"]["tags"] == ["work", "now"]
    assert {"made meanwhile", "edited meanwhile"} <= titles.keys()
    assert not {"edited too late", "laptop 0", "laptop 3", "phone 2", "phone 3", "phone 4"} & titles.keys()


def test_a_copy_begins_again_if_the_account_is_erased_between_two_of_its_pages(
    project: Path, settings: Settings
) -> None:
    with copied_project() as folder:
        server = Server(folder, port=None, workers=1, options=(), **variables(settings)).serving()
        token = mint(settings, random_user(), 3600)
        copied = clients.run("npx tsx erased.ts", project, API_URL=server.url, TOKEN=token)
    assert json.loads(copied.stdout) == {"held": 600, "erased": 204, "changes": 600, "deleted": 600, "revision": 0}

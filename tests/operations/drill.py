"""A service, a PostgreSQL server of its own, and the commands of docs/operations.md for both."""

import asyncio
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
import psutil  # type: ignore[import-untyped]

from app.auth.mint import mint
from app.db import migrations
from app.development import postgres
from app.settings import Settings
from tests.conftest import SENSITIVE, random_user
from tests.documents.blocks import the_block
from tests.operations.memory import Client
from tests.processes import NEVER_LIMITED, Server, copied_project, environment

MOMENT: Final = "2026-11-25T03:10:00Z"
"""The moment that the page's examples restore to."""

SERVICE: Final = """
    CREATE ROLE tasks_app LOGIN;
    GRANT SELECT, INSERT, UPDATE, DELETE ON users, tasks, task_changes TO tasks_app
"""


def documented(language: str, containing: str) -> str:
    return the_block("docs/operations.md", language, containing)


class Drill:
    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.data = folder / ".dev" / "postgres"
        self.owner = self.data.stat().st_uid
        self.settings = Settings(database_url=url, better_auth_secret=secrets.token_urlsafe(32))
        SENSITIVE.add(self.settings.better_auth_secret)
        postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        self._programs = Path(psutil.Process(postmaster).exe()).parent
        self._variables: dict[str, Any] = {
            "DATABASE_URL": url.replace("postgres:@", "tasks_app@"),
            "DATABASE_URL_UNPOOLED": url,
            "BETTER_AUTH_SECRET": self.settings.better_auth_secret,
            "LOG_FORMAT": "json",
            "SHUTDOWN_DELAY": "0",
            **NEVER_LIMITED,
        }
        migrations.upgrade(self.settings)
        self.execute(SERVICE)
        self.server = Server(folder, **self._variables).serving()

    def client(self) -> Client:
        token = mint(self.settings, random_user(), 3600)
        SENSITIVE.add(token)
        return Client(self.server.url, token)

    def execute(self, statements: str) -> Any:
        """Return the first value of the last statement's answer, if it is a single one."""

        async def run() -> Any:
            connection = await asyncpg.connect(self.settings.database_url)
            try:
                query = connection.fetchval if statements.startswith("SELECT") else connection.execute
                return await query(statements)
            finally:
                await connection.close()

        return asyncio.run(run())

    def run(self, script: str, **variables: str) -> str:
        """Run commands of the page as its reader would, in a folder with the service's logs."""
        path = os.pathsep.join((str(self._programs), str(Path(sys.executable).parent), os.environ["PATH"]))
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=environment() | self._variables | {"PATH": path} | variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def control(self, *arguments: str) -> None:
        """Run pg_ctl on the server, as the user whom it belongs to."""
        with subprocess.Popen(
            [self._programs / "pg_ctl", "-w", "-D", self.data, "-l", self.data / "log", *arguments],
            user=self.owner,
            cwd=self.data.anchor,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            pass
        assert process.returncode == 0, (self.data / "log").read_text()

    def configure(self, file: str, lines: str) -> None:
        with (self.data / file).open("a") as settings:
            settings.write(lines)

    def own(self, folder: Path) -> None:
        """Hand a folder to the user of the server, who is not root."""
        for path in (folder, *folder.rglob("*")):
            os.chown(path, self.owner, -1)

    def stop(self) -> None:
        assert self.server.terminate() == 0
        (self.folder / "service.log").write_text(self.server.output)

    def start(self) -> None:
        self.server = Server(self.folder, port=self.server.port, **self._variables).serving()


@contextmanager
def drill() -> Iterator[Drill]:
    """The embedded server and a service on it, in a copy of the project that is gone afterwards."""
    with copied_project() as folder, postgres.running(folder / ".dev") as url:
        yield Drill(folder, url)

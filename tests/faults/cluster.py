"""A PostgreSQL server that belongs to one test run, and what can befall it."""

import asyncio
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncpg
import psutil  # type: ignore[import-untyped]

from app.db import migrations
from app.settings import Settings

TERMINATE = """
    SELECT pid, pg_terminate_backend(pid)
    FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
CONNECTIONS = """
    SELECT coalesce(state, '') AS state
    FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


async def fetch(url: str, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        rows: list[asyncpg.Record] = await connection.fetch(query)
        return rows
    finally:
        await connection.close()


class Cluster:
    def __init__(self, url: str, data: Path) -> None:
        self.url = url
        self._data = data
        self.owner = data.stat().st_uid
        self._pg_ctl = Path(self._postmaster().exe()).with_name("pg_ctl")

    def database(self) -> Settings:
        """Settings on a new database that the migrations built."""
        name = f"t{secrets.token_hex(8)}"
        asyncio.run(fetch(self.url, f"CREATE DATABASE {name}"))
        settings = Settings(
            database_url=self.url.replace("/postgres?", f"/{name}?"), better_auth_secret=secrets.token_urlsafe(32)
        )
        migrations.upgrade(settings)
        return settings

    async def terminate_backends(self) -> None:
        """End every connection but this one, and return when their processes are gone."""
        ended = await fetch(self.url, TERMINATE)
        while any(psutil.pid_exists(row["pid"]) for row in ended):
            await asyncio.sleep(0.01)

    async def connections(self, database_url: str) -> list[str]:
        """Return the state of each connection to a database."""
        return [row["state"] for row in await fetch(database_url, CONNECTIONS)]

    async def restart(self) -> None:
        """`pg_ctl restart -m immediate`: no backend says goodbye, and the log is replayed as after a crash."""
        await self._control("restart", "-m", "immediate")

    async def stop(self) -> None:
        await self._control("stop", "-m", "immediate")

    async def start(self) -> None:
        await self._control("restart")  # which takes the options of the last start, and does not mind that nothing runs

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop the clock of every process of the server; what clients send is taken by the kernel and not answered."""
        postmaster = self._postmaster()
        postmaster.suspend()  # first, so that it starts no further ones
        stopped = [postmaster, *postmaster.children()]
        for process in stopped[1:]:
            process.suspend()
        try:
            yield
        finally:
            for process in reversed(stopped):
                with suppress(psutil.NoSuchProcess):  # killed in its sleep
                    process.resume()

    def log(self) -> str:
        return (self._data / "log").read_text()

    def _postmaster(self) -> psutil.Process:
        return psutil.Process(int((self._data / "postmaster.pid").read_text().split()[0]))

    async def _control(self, *arguments: str) -> None:
        command: list[str | Path] = [self._pg_ctl, "-s", "-w", "-D", self._data, "-l", self._data / "log", *arguments]
        control = await asyncio.create_subprocess_exec(
            *command,
            user=self.owner,
            cwd=self._data.anchor,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert await control.wait() == 0

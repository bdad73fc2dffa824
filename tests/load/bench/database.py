"""The embedded PostgreSQL of the benchmark: a server and a database of its own, seeded anew at every start."""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import asyncpg
import click

from app.db import migrations
from app.development import postgres
from app.settings import Settings
from tests.load.bench import seed

FOLDER: Final = Path(".dev") / "bench"
NAME: Final = "bench"
CONNECTIONS: Final = 300
"""Enough for the pools of all contenders, which run side by side."""

SETTINGS: Final = (f"max_connections = {CONNECTIONS}", "autovacuum = off")
"""Vacuum runs between the rounds instead of during them; everything else is PostgreSQL's default, fsync included."""

SOCKET: Final = ".s.PGSQL.5432"


@dataclass(frozen=True)
class Database:
    """The running database: its settings, its version, and the process id of its postmaster."""

    settings: Settings
    version: str
    postmaster: int


@contextmanager
def running(settings: Settings) -> Iterator[Database]:
    """Run the server for the length of the block, migrated and seeded; `settings` lack nothing but the address."""
    with postgres.running(FOLDER) as url:
        asyncio.run(_execute(url, *(f"ALTER SYSTEM SET {setting}" for setting in SETTINGS)))
    with postgres.running(FOLDER) as url:
        asyncio.run(_require_own(url))
        asyncio.run(_execute(url, f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)", f"CREATE DATABASE {NAME}"))
        complete = replace(settings, database_url=url.replace("/postgres?", f"/{NAME}?"))
        migrations.upgrade(complete)
        version = asyncio.run(_fill(complete.database_url))
        postmaster = int((FOLDER / "postgres" / "postmaster.pid").read_text().partition("\n")[0])
        yield Database(complete, version, postmaster)


@contextmanager
def delayed(url: str, milliseconds: float) -> Iterator[str]:
    """Yield an address of the same database at which every round trip takes so much longer."""
    [folder] = parse_qs(urlsplit(url).query)["host"]
    with tempfile.TemporaryDirectory() as own:
        command = (sys.executable, "-m", "tests.load.bench.relay", Path(own) / SOCKET, Path(folder) / SOCKET)
        with subprocess.Popen((*command, str(milliseconds)), stdout=subprocess.PIPE) as relay:
            assert relay.stdout is not None
            try:
                relay.stdout.readline()
                yield url.replace(urlsplit(url).query, f"host={own}")
            finally:
                relay.terminate()


async def _require_own(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        if await connection.fetchval("SHOW max_connections") != str(CONNECTIONS):
            raise click.ClickException(f"The database in {FOLDER} is in use; is another benchmark running?")
    finally:
        await connection.close()


async def _fill(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        await seed.fill(connection)
        version: str = await connection.fetchval("SHOW server_version")
    finally:
        await connection.close()
    return version


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()

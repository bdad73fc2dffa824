"""Who is measured, and how each is started: one worker, the same pool, uvloop and httptools, output into a file."""

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click
import httpx

from app.settings import Settings
from tests.auth.better_auth.issuer import UnusableNodeError
from tests.auth.better_auth.issuer import install as install_from_npm
from tests.load.bench.environment import PYTHON, ROOT
from tests.processes import free_port

POOL_SIZE: Final = 10
LOGS: Final = Path(".dev") / "bench" / "run"
START_SECONDS: Final = 60
END_SECONDS: Final = 10
FASTIFY: Final = ROOT / "tests" / "load" / "peers" / "fastify"

OURS: Final = "ours"
OURS_COLD: Final = "ours-cold"


@dataclass(frozen=True)
class Contender:
    """One server to measure."""

    key: str
    title: str
    command: Sequence[str | Path]
    variables: dict[str, str] = field(default_factory=dict)
    conditional: bool = False
    """Whether it answers If-None-Match with 304; the others answer as if it were not there."""

    lists_only: bool = False


@dataclass(frozen=True)
class Running:
    """A contender that serves."""

    contender: Contender
    url: str
    process_id: int


def ours(workers: int, *, cached: bool = True) -> Contender:
    """Return this service with its production settings, through its own command, in its own environment.

    In that of the peers Litestar would find pydantic, and load what it has for it: 17 MiB.
    """
    count = "" if workers == 1 else f", {workers} workers"
    return Contender(
        (OURS if cached else OURS_COLD) + ("" if workers == 1 else f"-{workers}"),
        ("this service" if cached else "this service, LIST_CACHE_BYTES=0") + count,
        (sys.executable, "-m", "litestar", "--app", "app.asgi:create_app", "run", "--wc", str(workers)),
        {} if cached else {"LIST_CACHE_BYTES": "0"},
        conditional=True,
        lists_only=not cached,
    )


def _asgi(key: str, title: str, module: str, *options: str, **variables: str) -> Contender:
    return Contender(
        key,
        title,
        (PYTHON, "-m", "uvicorn", f"tests.load.peers.{module}:app", "--loop=uvloop", "--http=httptools", *options),
        variables,
    )


PEERS: Final = (
    _asgi("fastapi", "FastAPI + SQLModel, async", "fastapi_async"),
    _asgi("fastapi-no-ping", "FastAPI + SQLModel, async, without pre-ping", "fastapi_async", PEER_PRE_PING="0"),
    _asgi("fastapi-sync", "FastAPI + SQLModel, psycopg, sync", "fastapi_sync"),
    _asgi("litestar-aa", "Litestar + Advanced Alchemy", "litestar_advanced_alchemy"),
    _asgi("bare-rows", "bare ASGI, rows + msgspec", "bare_rows", "--no-access-log"),
    _asgi("bare-json", "bare ASGI, JSON by PostgreSQL", "bare_json", "--no-access-log"),
    Contender("fastify", "Fastify + postgres.js", ("node", FASTIFY / "server.mjs")),
)


def available(workers: Sequence[int], only: Sequence[str]) -> list[Contender]:
    """Return those to measure; Fastify is left out, with a sentence, where Node is not usable."""
    all_of_them = [*(ours(count) for count in workers), ours(1, cached=False), *PEERS]
    unknown = set(only) - {contender.key for contender in all_of_them}
    if unknown:
        known = ", ".join(contender.key for contender in all_of_them)
        raise click.BadParameter(f"{', '.join(sorted(unknown))}; there are {known}", param_hint="--only")
    chosen = [contender for contender in all_of_them if not only or contender.key in only]
    if any(contender.key == "fastify" for contender in chosen):
        try:
            install_from_npm(FASTIFY)
        except UnusableNodeError as error:
            click.echo(f"Fastify is left out: {error}.", err=True)
            return [contender for contender in chosen if contender.key != "fastify"]
    return chosen


@asynccontextmanager
async def serving(contenders: Sequence[Contender], settings: Settings) -> AsyncIterator[list[Running]]:
    """Run the contenders side by side for the length of the block; their output goes to files."""
    async with AsyncExitStack() as stack:
        started = [await stack.enter_async_context(_started(contender, settings)) for contender in contenders]
        await asyncio.gather(*(_until_served(process, running) for process, running in started))
        yield [running for _, running in started]


@asynccontextmanager
async def _started(contender: Contender, settings: Settings) -> AsyncIterator[tuple[Process, Running]]:
    port = free_port()
    variables = {
        **{name: os.environ[name] for name in ("HOME", "LANG", "PATH", "TMPDIR") if name in os.environ},
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": settings.database_url,
        "DATABASE_POOL_SIZE": str(POOL_SIZE),
        "BETTER_AUTH_SECRET": settings.better_auth_secret,
        "PORT": str(port),
        "UVICORN_PORT": str(port),
        "NODE_ENV": "production",
        **contender.variables,
    }
    LOGS.mkdir(parents=True, exist_ok=True)  # it has no .env, which our own settings would read
    program, *arguments = contender.command
    with (LOGS / f"{contender.key}.log").open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            program, *arguments, cwd=LOGS, env=variables, stdout=output, stderr=output
        )
    try:
        yield process, Running(contender, f"http://127.0.0.1:{port}", process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), END_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _until_served(process: Process, running: Running) -> None:
    """Wait for an answer, whichever: without a token it is a refusal."""
    async with asyncio.timeout(START_SECONDS), httpx.AsyncClient() as client:
        while True:
            try:
                await client.get(f"{running.url}/api/nobody/tasks")
            except httpx.TransportError:
                if process.returncode is not None:
                    title = running.contender.title
                    raise click.ClickException(f"{title} ends at its start; its output is in {LOGS}.") from None
                await asyncio.sleep(0.05)
            else:
                return

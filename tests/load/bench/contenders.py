"""How those who are measured are started: one worker each, the same pool, output into a file."""

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click
import httpx

from app.settings import Settings
from tests.load.bench.environment import ROOT
from tests.processes import NEVER_LIMITED, free_port

POOL_SIZE: Final = 10
LOGS: Final = Path(".dev") / "bench" / "run"
START_SECONDS: Final = 60
END_SECONDS: Final = 10

OURS: Final = "ours"
OURS_COLD: Final = "ours-cold"
LISTS: Final = frozenset({"list", "filtered"})
CHANGES: Final = frozenset({"changes-none", "changes-one"})
KEYED: Final = frozenset({"create-key"})
COMMAND: Final = (sys.executable, "-m", "litestar", "--app", "app.asgi:create_app", "run", "--wc")


@dataclass(frozen=True)
class Contender:
    """One server to measure."""

    key: str
    title: str
    command: Sequence[str | Path]
    variables: dict[str, str] = field(default_factory=dict)
    conditional: bool = False
    """Whether it answers If-None-Match with 304; the others answer as if it were not there."""

    syncs: bool = False
    """Whether it tells changes and knows keys of creates; the others are asked for what comes nearest."""

    answers_uid: bool = True
    """Whether its tasks have the member."""

    work: frozenset[str] | None = None
    """The keys of the work items that it takes part in, where these are not all."""

    lacks: frozenset[str] = frozenset()
    """The keys of those that it cannot take part in."""

    constant: bool = False
    """Whether it answers everything with the same, so that there is nothing to check."""

    install: Callable[[], None] | None = None
    """Provides what it needs beside the environment of the peers. Raises MissingToolError."""

    def takes_part(self, work: str) -> bool:
        return work not in self.lacks and (self.work is None or work in self.work)


@dataclass(frozen=True)
class Running:
    """A contender that serves."""

    contender: Contender
    url: str
    process_id: int


def ours(workers: int = 1, *, cached: bool = True) -> Contender:
    """Return this service with its production settings, through its own command, in its own environment.

    In that of the peers Litestar would find pydantic, and load what it has for it: 17 MiB.
    """
    count = "" if workers == 1 else f", {workers} workers"
    return Contender(
        (OURS if cached else OURS_COLD) + ("" if workers == 1 else f"-{workers}"),
        ("this service" if cached else "this service, LIST_CACHE_BYTES=0") + count,
        (*COMMAND, str(workers)),
        {} if cached else {"LIST_CACHE_BYTES": "0"},
        conditional=True,
        syncs=True,
        work=None if cached else LISTS,
    )


def before(checkout: Path) -> Contender:
    """Return this service as another checkout has it, with the same packages; an older one lacks what is newer."""
    variables = {"PYTHONPATH": str(checkout.resolve())}
    tasks = checkout / "app" / "tasks"
    has_changes, has_keys = (tasks / "changes").is_dir(), (tasks / "fingerprint.py").is_file()
    return Contender(
        "before",
        "this service before",
        (*COMMAND, "1"),
        variables,
        conditional=True,
        syncs=has_changes or has_keys,
        answers_uid=has_keys,
        lacks=frozenset().union(() if has_changes else CHANGES, () if has_keys else KEYED),
    )


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
        **NEVER_LIMITED,
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

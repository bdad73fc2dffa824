"""Who is measured beside this service: the peers, which do the same, and the floor, which does nothing."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from tests.auth.better_auth.issuer import UnusableNodeError
from tests.auth.better_auth.issuer import install as install_from_npm
from tests.load.bench import contenders, golang
from tests.load.bench.contenders import Contender
from tests.load.bench.environment import PYTHON, ROOT, MissingToolError

FOLDER: Final = ROOT / "tests" / "load" / "peers"
FASTIFY: Final = FOLDER / "fastify"
GO: Final = FOLDER / "go"


def _asgi(key: str, title: str, module: str, *options: str, **variables: str) -> Contender:
    return Contender(key, title, _uvicorn(module, *options), variables)


def _uvicorn(module: str, *options: str) -> tuple[str | Path, ...]:
    return (PYTHON, "-m", "uvicorn", f"tests.load.peers.{module}:app", "--loop=uvloop", "--http=httptools", *options)


def _install_fastify() -> None:
    try:
        install_from_npm(FASTIFY)
    except UnusableNodeError as error:
        raise MissingToolError(str(error)) from None


PEERS: Final = (
    _asgi("fastapi", "FastAPI + SQLModel, async", "fastapi_async"),
    _asgi("fastapi-no-ping", "FastAPI + SQLModel, async, without pre-ping", "fastapi_async", PEER_PRE_PING="0"),
    _asgi("fastapi-sync", "FastAPI + SQLModel, psycopg, sync", "fastapi_sync"),
    _asgi("litestar-aa", "Litestar + Advanced Alchemy", "litestar_advanced_alchemy"),
    _asgi("bare-rows", "bare ASGI, rows + msgspec", "bare_rows", "--no-access-log"),
    _asgi("bare-json", "bare ASGI, JSON by PostgreSQL", "bare_json", "--no-access-log"),
    Contender("fastify", "Fastify + postgres.js", ("node", FASTIFY / "server.mjs"), install=_install_fastify),
    Contender(
        "go",
        "Go, gin + pgx",
        (golang.program(GO),),
        {"GOMAXPROCS": "1"},  # one processor, as one worker or one Node process has
        install=functools.partial(golang.build, GO),
    ),
)

FLOOR: Final = Contender(
    "floor",
    "bare uvicorn, a constant",
    _uvicorn("floor", "--no-access-log", "--lifespan=off"),
    work=frozenset({"list", "list-304", "one"}),
    constant=True,
)


def available(workers: Sequence[int], before: Path | None, only: Sequence[str]) -> list[Contender]:
    """Return those to measure; who cannot be installed is left out, with a sentence."""
    own = [*(contenders.ours(count) for count in workers), contenders.ours(cached=False)]
    everybody = [*own, *([contenders.before(before)] if before else ()), *PEERS, FLOOR]
    if unknown := set(only) - {contender.key for contender in everybody}:
        known = ", ".join(contender.key for contender in everybody)
        raise click.BadParameter(f"{', '.join(sorted(unknown))}; there are {known}", param_hint="--only")
    return [contender for contender in everybody if (not only or contender.key in only) and _installed(contender)]


def _installed(contender: Contender) -> bool:
    try:
        if contender.install is not None:
            contender.install()
    except MissingToolError as error:
        click.echo(f"{contender.title}: left out, {error.message}.", err=True)
        return False
    return True

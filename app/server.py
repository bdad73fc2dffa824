"""Runs uvicorn as this service wants it, around whatever has to live exactly as long as the server."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import uvicorn

from app.auth.mint import mint
from app.db import migrations
from app.development import postgres
from app.docs import DEVELOPMENT_USER, TOKEN_SECONDS
from app.http.protocol import GatheringProtocol
from app.settings import Settings

KEEP_ALIVE_SECONDS = 75
"""Longer than the 60 s of the usual load balancers, so that they, not we, close idle connections."""


class Lifecycle:
    """`draining` is true from SIGTERM on: load balancers are told, and connections end with their next answer."""

    def __init__(self) -> None:
        self.draining = False

    def drain_first(self, delay: float) -> None:
        """Let `delay` seconds pass between SIGTERM and the server's own handling of it; needs a running event loop.

        Whoever sends requests learns of the end later than the process does. A person's Ctrl-C is not delayed.
        """
        loop = asyncio.get_running_loop()
        stop: Any = signal.getsignal(signal.SIGTERM)

        def drain(number: int, frame: Any) -> None:
            self.draining = True
            loop.call_soon_threadsafe(loop.call_later, delay, stop, number, frame)

        signal.signal(signal.SIGTERM, drain)


def run(settings: Settings, *, host: str, port: int, **options: Any) -> None:
    """Serve until SIGINT, SIGTERM or the terminal ends, then clean up; `options` are uvicorn's."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # it is not under nohup
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    if settings.migrate_on_start and not settings.development:  # the workers would each do it
        migrate(settings)
    with development(_address(host, port)) if settings.development else nullcontext():
        uvicorn.run(
            "app.asgi:worker",
            factory=True,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            http=GatheringProtocol,
            proxy_headers=False,  # nothing here depends on the client's address or scheme
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=settings.shutdown_timeout,
            **options,
        )


@contextmanager
def development(address: str) -> Iterator[None]:
    """Run the embedded database, migrated, for the length of the block, and say how to use what is served there."""
    with postgres.running():
        settings = Settings.from_env()
        migrate(settings)
        token = mint(settings, DEVELOPMENT_USER, TOKEN_SECONDS)
        print(  # noqa: T201 - for the person at the terminal, and on purpose not in the log
            f"\n  Documentation  {address}/docs  (you are signed in there as {DEVELOPMENT_USER})"
            f"\n  Token, 24 h    {token}"
            f"\n  Try it         curl -H 'Authorization: Bearer {token}' {address}/api/me/tasks"
            f"\n  Data           {postgres.FOLDER}/ (delete the folder to start afresh)\n",
            flush=True,
        )
        yield


def _address(host: str, port: int) -> str:
    """Return the URL under which this machine reaches a server that listens on `host`."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - a comparison
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def migrate(settings: Settings) -> None:
    """Bring the database's schema up to date. Raises MigrationError."""
    from advanced_alchemy.alembic.commands import AlembicCommands  # noqa: PLC0415 - see app/db/alchemy.py

    from app.db.alchemy import sqlalchemy_config  # noqa: PLC0415 - the same

    AlembicCommands(sqlalchemy_config(migrations.create_engine(settings))).upgrade()

"""Runs uvicorn as this service wants it, around whatever has to live exactly as long as the server."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from advanced_alchemy.alembic.commands import AlembicCommands

from app.auth.mint import mint
from app.db.engine import create_engine
from app.db.plugin import sqlalchemy_config
from app.development import postgres
from app.docs import DEVELOPMENT_USER, TOKEN_SECONDS
from app.settings import Settings

KEEP_ALIVE_SECONDS = 75
"""Longer than the 60 s of the usual load balancers, so that they, not we, close idle connections."""

SHUTDOWN_SECONDS = 8


def serve(**options: Any) -> None:
    """Run uvicorn until SIGINT or SIGTERM; either way control comes back here, so that callers can clean up."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        "app:create_app",
        factory=True,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
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


def migrate(settings: Settings) -> None:
    """Bring the database's schema up to date."""
    engine, _ = create_engine(settings)
    AlembicCommands(sqlalchemy_config(engine)).upgrade()

"""The service as `litestar run` processes, with a database and a port that stay the same over its restarts."""

import asyncio
import os
import signal
from pathlib import Path

from app.auth.mint import mint
from app.settings import Settings
from tests.faults.client import Client
from tests.processes import END_SECONDS, NEVER_LIMITED, Server, free_port

TOKEN_SECONDS = 86_400


class Service:
    def __init__(self, folder: Path, settings: Settings, *, workers: int = 1, **variables: str) -> None:
        self.settings = settings
        self.port = free_port()
        self.workers = workers
        self._folder = folder
        self._variables = {
            "DATABASE_URL": settings.database_url,
            "BETTER_AUTH_SECRET": settings.better_auth_secret,
            **NEVER_LIMITED,
            **variables,
        }
        self.server: Server

    def client(self, user_id: str) -> Client:
        return Client(self.port, mint(self.settings, user_id, TOKEN_SECONDS))

    async def start(self) -> "Service":
        self.server = Server(self._folder, port=self.port, workers=self.workers, **self._variables)
        await asyncio.to_thread(self.server.serving)
        return self

    async def terminate(self) -> int:
        return await asyncio.to_thread(self.server.terminate)

    async def kill(self) -> None:
        """Leave neither the parent nor a worker a chance."""
        os.killpg(self.server.process.pid, signal.SIGKILL)
        await asyncio.to_thread(self.server.process.wait, END_SECONDS)

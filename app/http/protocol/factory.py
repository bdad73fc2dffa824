"""What uvicorn calls for each connection; each worker gets its copy, and with it a monitor of its own."""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from app import logs
from app.http.protocol.connection import Connection
from app.http.protocol.monitor import Monitor
from app.settings import Settings


class ProtocolFactory:
    """Makes the protocol of each connection, within the limits of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._monitor: Monitor | None = None  # not yet: uvicorn hands the factory to new processes

    def __call__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> Connection:
        """Make one, with uvicorn's arguments."""
        if self._monitor is None:
            application = getattr(config, "loaded_app", None)  # not there before uvicorn has loaded it, as in tests
            log = getattr(application, "log", None) or logs.access(self._settings)
            self._monitor = Monitor(self._settings, server_state.connections, log)
        return Connection(self._monitor, self._settings, config, server_state, app_state, _loop)

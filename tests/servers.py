import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any, Literal, cast

import uvicorn

from app.asgi import create_app
from app.http.protocol import ProtocolFactory
from app.settings import Settings


class Server(uvicorn.Server):
    """Tells when it takes requests, or has given up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            super().run(sockets)
        finally:
            self.ready.set()


@contextlib.contextmanager
def serving(
    settings: Settings, host: str = "127.0.0.1", *, app: Any = None, loop: Literal["auto", "asyncio"] = "auto"
) -> Iterator[str]:
    """Serve an application on a free port of the loopback, in an event loop of its own; yields the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listening:
        config = uvicorn.Config(
            app or create_app(settings),
            http=cast("Any", ProtocolFactory(settings)),
            log_config=None,
            access_log=False,
            server_header=False,
            loop=loop,
            proxy_headers=False,
        )
        server = Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            server.ready.wait()
            assert server.started
            yield f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()

"""Runs uvicorn as this service wants it, around whatever has to live exactly as long as the server."""

import asyncio
import errno
import signal
import socket
import sys
from contextlib import nullcontext
from typing import Any

import uvicorn

from app.db import migrations
from app.development import banner, postgres
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
    if options.get("uds") is None and options.get("fd") is None:
        _require_free(host, port)
    with postgres.running() if settings.development else nullcontext():
        if settings.development or settings.migrate_on_start:  # the workers would each do it
            migrations.upgrade(settings)
        if settings.development:
            banner.show(settings, _address(host, port))
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


def _require_free(host: str, port: int) -> None:
    """End with one sentence, before anything is started or printed, where nobody can listen."""
    try:
        for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            socket.create_server(address[:2], family=family).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SystemExit(
                f"Port {port} is already in use; stop what listens there, or choose another --port."
            ) from None
        raise SystemExit(f"Cannot listen on {host}, port {port}: {error.strerror}.") from None


def _address(host: str, port: int) -> str:
    """Return the URL under which this machine reaches a server that listens on `host`."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - a comparison
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"

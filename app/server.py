"""Runs uvicorn as this service wants it, around whatever has to live exactly as long as the server."""

import asyncio
import signal
import ssl
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import uvicorn

from app import listening, workers
from app.db import migrations
from app.development import banner, postgres
from app.events import siblings
from app.http.protocol import ProtocolFactory
from app.metrics.port import answering
from app.settings import Settings


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
    options = _watching(options)
    certificate = _usable_certificate(options)
    number = 1 if options["reload"] else options.get("workers", 1)
    serve = workers.run if number > 1 else uvicorn.run
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # it is not under nohup
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    own_port = options.get("uds") is None and options.get("fd") is None
    if own_port:
        listening.require_free(host, port)
    with (
        answering(settings, port if own_port else None) as exposition,
        postgres.running() if settings.development else nullcontext(),
        siblings.introduced(number),
    ):
        if settings.development or settings.migrate_on_start:  # the workers would each do it
            with exposition.migrating() if exposition else nullcontext():
                migrations.upgrade(settings)
        elif exposition:
            exposition.ask_for_pending(lambda: migrations.pending(settings))
        if settings.development:
            banner.greet(settings, host, port, scheme="https" if certificate else "http")
        serve(
            "app.asgi:worker",
            factory=True,
            host=cast("str", listening.host_for_uvicorn(host, shared=options["reload"] or number > 1)),
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            http=cast("Any", ProtocolFactory(settings)),
            headers=_headers(settings),
            proxy_headers=False,  # app/ratelimit/client_address.py reads them, and believes only TRUSTED_PROXIES
            timeout_worker_healthcheck=30,  # a worker that starts on a busy machine does not answer within uvicorn's 5
            timeout_keep_alive=75,  # longer than load balancers' usual 60 s, so that not we close idle connections
            timeout_graceful_shutdown=settings.shutdown_timeout,
            **options,
        )


def _headers(settings: Settings) -> list[tuple[str, str]]:
    """Return what every answer has, besides what the application says."""
    seconds = settings.strict_transport_security
    return [] if seconds is None else [("strict-transport-security", f"max-age={seconds}")]


def _usable_certificate(options: Mapping[str, Any]) -> bool:
    """Tell whether TLS is spoken; end with one sentence where the certificate or its key cannot be used."""
    certificate, key = options.get("ssl_certfile"), options.get("ssl_keyfile")
    if bool(certificate) != bool(key):
        raise SystemExit("--ssl-certfile and --ssl-keyfile need each other.")
    if not certificate:
        return False
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise SystemExit(f"The certificate {certificate} cannot be used with the key {key}: {error}.") from None
    return True


def _watching(options: Mapping[str, Any]) -> dict[str, Any]:
    """Watch what the options name, or else the application only: not its environment, nor the embedded database."""
    named = {name: list(options.get(name) or ()) for name in ("reload_dirs", "reload_includes", "reload_excludes")}
    reload = bool(options.get("reload") or any(named.values()))
    if reload and not named["reload_dirs"] and not named["reload_includes"]:
        named["reload_dirs"] = [str(Path(__file__).parent)]
    return {**options, **named, "reload": reload}

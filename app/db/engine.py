"""The engine, whose pool owns every connection; it opens none before the first request needs it."""

import socket
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.db.url import Address
from app.settings import Settings

KEEPALIVE: Final = {
    "SO_KEEPALIVE": (socket.SOL_SOCKET, 1),
    "TCP_KEEPIDLE": (socket.IPPROTO_TCP, 30),  # seconds of silence before the first probe
    "TCP_KEEPINTVL": (socket.IPPROTO_TCP, 5),  # seconds between probes
    "TCP_KEEPCNT": (socket.IPPROTO_TCP, 3),
    "TCP_USER_TIMEOUT": (socket.IPPROTO_TCP, 10_000),  # milliseconds that what was sent may stay unacknowledged
}
"""Half-open connections end within a minute (Linux, tcp(7)). The kernel's probes reach no database: it may suspend."""


def create_engine(address: Address, settings: Settings) -> AsyncEngine:
    """Return the engine for requests at `address`."""
    engine = create_async_engine(
        address.url,
        pool_size=settings.database_pool_size,
        max_overflow=0,  # connections are given back without a greenlet, so the pool must not close them then
        pool_timeout=settings.database_timeout,
        pool_use_lifo=True,
        connect_args={**address.connect_args, "statement_cache_size": 0},  # we keep our own, see app/db/statement.py
    )
    event.listen(engine.sync_engine, "connect", _keep_alive)
    event.listen(engine.sync_engine, "checkout", _discard_if_closed)
    return engine


def _keep_alive(dbapi_connection: Any, _record: Any) -> None:
    """Have the kernel find out about peers that are gone; asyncpg 0.32 has no option for it."""
    transport = dbapi_connection.driver_connection._transport  # noqa: SLF001 - nothing public leads to the socket
    connected = transport.get_extra_info("socket")
    if connected.family == socket.AF_UNIX:
        return
    for name, (level, value) in KEEPALIVE.items():
        if hasattr(socket, name):  # macOS lacks some
            connected.setsockopt(level, getattr(socket, name), value)


def _discard_if_closed(dbapi_connection: Any, _record: Any, _proxy: Any) -> None:
    """Let the pool replace a connection that died while idle, as Neon's autosuspend leaves them; no round trip."""
    if dbapi_connection.driver_connection.is_closed():
        raise DisconnectionError

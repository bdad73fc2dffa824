"""The one pool of connections that both lanes share; it opens nothing before the first request needs it."""

from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.db import url
from app.settings import Settings


def create_engine(settings: Settings) -> tuple[AsyncEngine, bool]:
    """Return the engine, and whether its connections may keep named prepared statements."""
    address = url.parse(settings.database_url, connect_timeout=settings.database_connect_timeout)
    engine = create_async_engine(
        address.url,
        pool_size=settings.database_pool_size,
        max_overflow=0,  # the fast lane gives connections back without a greenlet, so the pool must not close them then
        pool_timeout=settings.database_timeout,
        pool_use_lifo=True,
        connect_args={
            **address.connect_args,
            "command_timeout": settings.database_timeout,
            "statement_cache_size": 0,  # asyncpg's own names collide behind poolers without statement support
        },
    )
    event.listen(engine.sync_engine, "checkout", _discard_if_closed)
    named = not address.pooled if settings.database_statements == "auto" else settings.database_statements == "named"
    return engine, named


def _discard_if_closed(dbapi_connection: Any, _record: Any, _proxy: Any) -> None:
    """Let the pool replace a connection that died while idle, as Neon's autosuspend leaves them; no round trip."""
    if dbapi_connection.driver_connection.is_closed():
        raise DisconnectionError

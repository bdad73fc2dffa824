"""Turns the database URLs that Neon, Vercel and Docker hand out into what asyncpg connects with, once."""

import re
import ssl
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.settings import SettingsError

SCHEMES: Final = {"postgres", "postgresql", "postgresql+asyncpg", "postgresql+psycopg", "postgresql+psycopg2"}
UNIX_SOCKET: Final = ("host", "port")
PGBOUNCER_PORT: Final = 6432
"""Default listen_port of PgBouncer (its documentation)."""

PORT: Final = re.compile("[1-9][0-9]{0,4}")
MAXIMUM_PORT: Final = 65535
MAXIMUM_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Address:
    """Where the database is: the SQLAlchemy URL, what asyncpg takes beside it, and whether a pooler answers there."""

    url: URL
    connect_args: dict[str, Any]
    pooled: bool


def parse(text: str, *, connect_timeout: float) -> Address:
    """Read a PostgreSQL URL; `connect_timeout` in seconds holds where the URL has none. Raises SettingsError."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        raise SettingsError("DATABASE_URL is not a URL like postgresql://user:password@host/database.") from None
    if url.drivername not in SCHEMES:
        raise SettingsError("DATABASE_URL has to start with postgresql:// or postgres://.")
    options = {key: value if isinstance(value, str) else value[-1] for key, value in url.query.items()}
    if not url.database or not (url.host or "host" in options):
        raise SettingsError("DATABASE_URL has to name a host and a database.")
    port = options.get("port", "5432" if url.port is None else str(url.port))
    if not PORT.fullmatch(port) or int(port) > MAXIMUM_PORT:
        raise SettingsError(f"DATABASE_URL has a port that is not a number from 1 to {MAXIMUM_PORT}.")

    settings = {"timezone": "UTC"}
    if "application_name" in options:
        settings["application_name"] = options["application_name"]
    arguments: dict[str, Any] = {
        "timeout": _seconds(options.get("connect_timeout"), connect_timeout),
        "server_settings": settings,
    }
    mode = options.get("sslmode") or options.get("ssl")  # the latter is asyncpg's and node-postgres' name for it
    if mode:
        arguments["ssl"] = _tls(mode, options.get("sslrootcert"))
    host = url.host or ""
    return Address(
        url=url.set(
            drivername="postgresql+asyncpg", query={key: options[key] for key in UNIX_SOCKET if key in options}
        ),
        connect_args=arguments,
        pooled="pooler." in host or options.get("pgbouncer") == "true" or url.port == PGBOUNCER_PORT,
    )


def _seconds(text: str | None, default: float) -> float:
    """Read connect_timeout; zero and less mean no limit to libpq, which a service cannot afford."""
    try:
        seconds = int(text) if text else 0
    except ValueError:
        raise SettingsError("DATABASE_URL has a connect_timeout that is not a number of seconds.") from None
    return float(min(seconds, MAXIMUM_SECONDS)) if seconds > 0 else default


def _tls(mode: str, root: str | None) -> ssl.SSLContext | str | bool:
    """Map libpq's sslmode. `require` verifies here, unlike in libpq: Neon's certificates are public ones."""
    if mode in {"disable", "false"}:
        return False
    if mode in {"allow", "prefer"}:
        return mode
    if mode not in {"require", "verify-ca", "verify-full", "true"}:
        raise SettingsError(f"DATABASE_URL has an unknown sslmode, {mode!r}.")
    try:
        context = ssl.create_default_context(cafile=None if root in {None, "system"} else root)
    except (OSError, ValueError):  # the latter for a path that cannot be one
        raise SettingsError(f"DATABASE_URL names an sslrootcert that cannot be read: {root}.") from None
    context.check_hostname = mode != "verify-ca"
    return context

"""Turns the database URLs that Neon, Vercel and Docker hand out into what asyncpg connects with.

A parameter that decides which server is used, as whom, or how it is trusted is obeyed or refused; others are ignored.
"""

import getpass
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.settings import SettingsError

SCHEMES: Final = {"postgres", "postgresql", "postgresql+asyncpg", "postgresql+psycopg", "postgresql+psycopg2"}
AUTHORITY: Final = re.compile(r"(?P<before>[\w+]+://(?:[^:/]*(?::[^@]*)?@)?)(?P<hosts>[^/?]*)(?P<after>.*)", re.DOTALL)
HOST: Final = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<name>[^\[\]:]*))(?::(?P<port>.*))?", re.DOTALL)
NO_NAME: Final = re.compile(r"[\s@/\[\]]")
UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
PORT: Final = re.compile("[1-9][0-9]{0,4}")
MAXIMUM_PORT: Final = 65535
PGBOUNCER_PORT: Final = 6432  # default listen_port of PgBouncer (its documentation)
MAXIMUM_SECONDS: Final = 60
UNVERIFIED: Final = {"disable", "false", "allow", "prefer"}
VERIFIED: Final = {"require", "verify-ca", "verify-full", "true"}
STRICT: Final = (("channel_binding", "require"), ("sslrootcert", "system"))
TARGETS: Final = {"any", "primary", "standby", "prefer-standby", "read-write", "read-only"}
ROUTING: Final = ("endpoint=", "project=")
"""What Neon reads from `options` if the client sends no server name, which asyncpg does (Neon, "Connection errors")."""
UNSUPPORTED: Final = ("hostaddr", "passfile", "requirepeer", "service", "sslcert", "sslcrl", "sslkey")
"""Parameters of libpq that asyncpg lacks and that must not be ignored."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the database is: the SQLAlchemy URL, asyncpg's other arguments, and whether a pooler answers there."""

    url: URL
    connect_args: dict[str, Any]
    pooled: bool


def parse(text: str, *, connect_timeout: float, variable: str = "DATABASE_URL") -> Address:
    """Read a PostgreSQL URL; `connect_timeout` is in seconds, and used if the URL has none.

    Raises SettingsError: one sentence that starts with `variable` and repeats nothing that may be secret.
    """
    try:
        return _read(text, connect_timeout)
    except ValueError as error:
        raise SettingsError(f"{variable} {error}.") from None


def _read(text: str, connect_timeout: float) -> Address:
    url, authority = _split(text)
    options = {key: value if isinstance(value, str) else value[-1] for key, value in url.query.items()}
    _refuse_unsupported(options)
    hosts, ports = _hosts(authority, options)
    username = url.username or options.get("user")
    password = url.password or options.get("password")
    database = url.database or options.get("dbname")
    if not database or not all(hosts):
        raise ValueError("must name a host and a database")
    if not username:
        _require_own_name()
    settings = _server_settings(options)
    if any(UNSTORABLE.search(part or "") for part in (username, password, database, *hosts, *settings.values())):
        raise ValueError("contains a character that PostgreSQL does not accept")
    arguments: dict[str, Any] = {
        "host": hosts,
        "port": ports,
        "timeout": _seconds(options.get("connect_timeout"), connect_timeout),
        "server_settings": settings,
        "target_session_attrs": options.get("target_session_attrs", "any"),
    }
    if mode := _mode(options):
        arguments["ssl"] = _tls(mode, options.get("sslrootcert"))
    return Address(
        url=URL.create("postgresql+asyncpg", username, password, hosts[0], ports[0], database),
        connect_args=arguments,
        pooled=_pooled(hosts, ports, options.get("pgbouncer")),
    )


def _refuse_unsupported(options: Mapping[str, str]) -> None:
    for name in UNSUPPORTED:
        if name in options:
            raise ValueError(f"has the parameter {name}, which is not supported")
    if options.get("schema", "public") != "public":
        raise ValueError("names a schema; use ALTER ROLE … IN DATABASE … SET search_path instead")
    if options.get("target_session_attrs", "any") not in TARGETS:
        raise ValueError("has an unknown target_session_attrs")


def _split(text: str) -> tuple[URL, str]:
    """Return the URL without its hosts, and the hosts, of which SQLAlchemy reads no list."""
    parts = AUTHORITY.fullmatch(text)
    try:
        url = make_url(parts["before"] + parts["after"]) if parts else None
    except ArgumentError:
        url = None
    if not parts or not url:
        raise ValueError("is not a URL like postgresql://user:password@host/database")
    if url.drivername not in SCHEMES:
        raise ValueError("must start with postgresql:// or postgres://")
    return url, parts["hosts"]


def _hosts(authority: str, options: Mapping[str, str]) -> tuple[list[str], list[int]]:
    """Return the hosts, and a port for each; one that starts with / is the folder of a unix socket."""
    entries = [HOST.fullmatch(entry) for entry in authority.split(",")]
    hosts = [unquote(entry["ipv6"] or entry["name"]) if entry else "" for entry in entries]
    ports = [(entry and entry["port"]) or "" for entry in entries]
    if "host" in options:
        hosts, ports = options["host"].split(","), [""]
    if "port" in options:
        ports = options["port"].split(",")
    if len(ports) == 1:
        ports *= len(hosts)
    if len(ports) != len(hosts):
        raise ValueError("must name one port, or one for each host")
    if any(not host.startswith("/") and NO_NAME.search(host) for host in hosts):
        raise ValueError("contains an invalid host name; in a user name or password, write @ as %40 and / as %2F")
    numbers = [port or "5432" for port in ports]
    if not all(PORT.fullmatch(number) and int(number) <= MAXIMUM_PORT for number in numbers):
        raise ValueError(f"contains a port that is not a number from 1 to {MAXIMUM_PORT}")
    return hosts, [int(number) for number in numbers]


def _require_own_name() -> None:
    """Without a user asyncpg takes the operating system's, who in a container may have a number but no name."""
    try:
        getpass.getuser()
    except (OSError, KeyError):
        raise ValueError("must name a user") from None


def _server_settings(options: Mapping[str, str]) -> dict[str, str]:
    """Return what every session is started with; in `options` a backslash escapes a space within a word."""
    words = re.split(r"(?<!\\)\s+", options.get("options", "").strip())
    switches = " ".join(word for word in words if not word.startswith(ROUTING))
    given = {"application_name": options.get("application_name"), "options": switches}
    return {"timezone": "UTC"} | {name: value for name, value in given.items() if value}


def _seconds(text: str | None, default: float) -> float:
    """Read connect_timeout; to libpq zero means no limit, which a service cannot afford."""
    try:
        seconds = int(text) if text else 0
    except ValueError:
        raise ValueError("has a connect_timeout that is not a whole number of seconds") from None
    return float(min(seconds, MAXIMUM_SECONDS)) if seconds > 0 else default


def _mode(options: Mapping[str, str]) -> str | None:
    """Return sslmode, or `require` if another parameter asks for a trusted server; None leaves it to asyncpg.

    asyncpg has no channel binding. Its purpose is a verified server, so channel_binding=require asks for that.
    """
    mode = options.get("sslmode") or options.get("ssl")  # the latter is asyncpg's and node-postgres' name for it
    if mode and mode not in UNVERIFIED | VERIFIED:
        raise ValueError("has an unknown sslmode")
    strict = [f"{name}={value}" for name, value in STRICT if options.get(name) == value]
    if strict and mode in UNVERIFIED:
        raise ValueError(f"has {strict[0]}, which needs sslmode=require or verify-full")
    return mode or ("require" if strict or "sslrootcert" in options else None)


def _tls(mode: str, root: str | None) -> ssl.SSLContext | str | bool:
    """Return asyncpg's `ssl` for a mode. Unlike in libpq, `require` verifies: Neon's certificates are public ones."""
    if mode in UNVERIFIED:
        return mode if mode in {"allow", "prefer"} else False
    own = None if root in {None, "system"} else root
    try:
        context = ssl.create_default_context(cafile=own)
    except (OSError, ValueError):  # the latter for a path that cannot be one
        raise ValueError("names an sslrootcert that cannot be read or contains no certificate") from None
    if own:
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Python 3.13 sets it; libpq accepts simpler authorities
    # the host may differ only with an authority of one's own: a public one certifies anybody
    context.check_hostname = not (own and mode == "verify-ca")
    return context


def _pooled(hosts: list[str], ports: list[int], told: str | None) -> bool:
    """Decide by `pgbouncer=true` or `false`, or else by host names that poolers have and PgBouncer's port."""
    if told in {"true", "false"}:
        return told == "true"
    return PGBOUNCER_PORT in ports or any("pooler." in host for host in hosts)

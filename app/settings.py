"""The only reader of the environment; wrong values stop the start with one sentence that names the variable.

Nothing is written, generated or guessed here. What development adds to the environment is in app/development.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Final, Literal, Self, get_args, get_type_hints

from dotenv import dotenv_values
from msgspec import Meta, ValidationError, convert

from app import origins, quotas
from app.quotas import Limit

VERSION: Final = "0.1.0"

PriorityCase = Literal["upper", "lower"]
StatementMode = Literal["auto", "named", "unnamed"]
Algorithm = Literal["HS256", "EdDSA", "Ed25519", "ES256", "ES384", "ES512", "RS256", "RS512", "PS256"]
ASYMMETRIC: Final = {*get_args(Algorithm)} - {"HS256"}
Seconds = Annotated[float, Meta(ge=0.1, le=60)]

MINIMUM_SECRET_BYTES: Final = 32
MINIMUM_SECRET_LETTERS: Final = 8
ADVICE: Final = "`openssl rand -base64 32` generates a good one"
PLACEHOLDER: Final = re.compile(r"change[-_ ]?me|your[-_ ]|placeholder|example|better-auth-secret-123", re.IGNORECASE)
ORIGIN: Final = re.compile(r"https?://[^/\s*?#@]+")
IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")
ADDRESS: Final = re.compile(r"https?://[^/\s*?#@]+(/[^\s?#]*)?")
COLLECTOR: Final = re.compile(r"https?://[^/\s?#@]+(/\S*)?")
DSN: Final = re.compile(r"https?://[^/\s?#@]+@[^/\s?#@]+(/[^\s?#]+)?/[0-9]+")
EMBEDDED_DATABASE_URL: Final = "EMBEDDED_DATABASE_URL"
"""Variable by which `litestar run` tells its workers which database is the embedded one; nobody else sets it."""


class SettingsError(SystemExit):
    """A setting is missing or wrong. As a SystemExit it ends every launcher with its one sentence on stderr."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that differs between two installations. The environment variable is the field's name in capitals."""

    database_url: str = field(repr=False)
    """PostgreSQL URL as Neon, Vercel or Docker hand it out."""
    better_auth_secret: str = field(default="", repr=False)
    """Secret shared with Better Auth, at least 32 bytes; verifies HS256 tokens."""
    better_auth_secrets: tuple[str, ...] = field(default=(), repr=False)
    """Secrets during a rotation in Better Auth's own form, `2:new,1:old`; each of them verifies tokens."""
    better_auth_url: str | None = None
    """Address of the Better Auth server. Switches on its own keys; its origin is their default issuer and audience."""
    jwks_url: str | None = None
    """Address of the public keys. Default `{BETTER_AUTH_URL}/api/auth/jwks`."""
    jwks_source: Literal["url", "database"] = "url"
    """`database` reads the keys from Better Auth's table `jwks` in the same database."""
    jwt_algorithm: tuple[Algorithm, ...] = ()
    """The algorithms that tokens may be signed with, comma-separated. Default all that there are keys for."""
    jwt_issuer: str | None = None
    """Required value of the claim `iss`. Default the origin of BETTER_AUTH_URL, where the token has to carry one."""
    jwt_audience: tuple[str, ...] = ()
    """Accepted values of the claim `aud`, comma-separated. Default as for the issuer."""
    accept_session_jwt: bool = False
    """Accept the JWT of Better Auth's session cookie cache as a bearer token, too."""
    check_user: bool = False
    """Refuse users that Better Auth's table `user` lacks or bans; asked once a minute per user."""
    database_pool_size: Annotated[int, Meta(ge=1, le=1000)] = 10
    """Connections each worker opens at most, as it needs them."""
    database_queue: Annotated[int, Meta(ge=0, le=100_000)] = 200
    """Requests of each worker that may wait for a connection; further ones are answered 503 at once."""
    database_writes_per_user: Annotated[int, Meta(ge=1, le=1000)] = 2
    """Writes of one user that each worker runs at once; the others wait without a connection."""
    database_reads_per_user: Annotated[int, Meta(ge=1, le=1000)] | None = None
    """Connections of each worker that reads of one user use at once. Default half of them."""
    database_waiting_per_user: Annotated[int, Meta(ge=0, le=100_000)] = 64
    """Requests of one user that may wait in each worker; further ones are answered 429 at once."""
    database_timeout: Seconds = 4.5
    """Seconds a request may spend on the database, waiting and trying again included."""
    database_cold_start_timeout: Seconds = 10.0
    """The same, until a worker has reached the database for the first time."""
    database_connect_timeout: Seconds = 4.0
    """Seconds to open a connection; `connect_timeout` in the URL has precedence."""
    database_statements: StatementMode = "auto"
    """`named` keeps prepared statements in the server, `unnamed` suits every pooler, `auto` decides by the URL."""
    database_coalesce: bool = True
    """Send reads that wait for the same statement as one."""
    slow_query_ms: Annotated[int, Meta(ge=0, le=3_600_000)] = 250
    """Milliseconds from which a statement is logged as slow; 0 turns it off."""
    list_cache_bytes: Annotated[int, Meta(ge=0, le=2**34)] = 16 * 1024 * 1024
    """Memory of each worker for list bodies that the database confirms by revision; 0 turns it off."""
    compress_lists: bool = True
    """Pack lists of 1 KiB and more with zstd or gzip for clients that accept it; off behind a proxy that does so."""
    max_body_bytes: Annotated[int, Meta(ge=1024, le=2**24)] = 64 * 1024
    """Largest request body, in bytes; longer ones are answered 413."""
    max_batch_bytes: Annotated[int, Meta(ge=1024, le=2**24)] = 1024 * 1024
    """The same for a batch of operations."""
    max_header_bytes: Annotated[int, Meta(ge=1024, le=2**20)] = 16 * 1024
    """Largest head of a request, its address and headers, in bytes; longer ones are answered 431."""
    max_header_fields: Annotated[int, Meta(ge=16, le=1000)] = 100
    """Headers that a request may have; more are answered 431."""
    max_target_bytes: Annotated[int, Meta(ge=256, le=2**20)] = 8 * 1024
    """Longest address in a request, in bytes; longer ones are answered 414."""
    max_unsent_bytes: Annotated[int, Meta(ge=2**20, le=2**34)] = 64 * 1024 * 1024
    """Memory of each worker for answers that clients do not read; the slowest readers are cut off beyond it."""
    header_timeout: Seconds = 10.0
    """Seconds in which the head of a request has to arrive, from the connection or its first byte on."""
    body_timeout: Seconds = 15.0
    """Seconds in which the body has to follow; late requests are answered 408."""
    send_timeout: Seconds = 15.0
    """Seconds after which a client that takes nothing of its answer is cut off."""
    strict_transport_security: Annotated[int, Meta(ge=0)] | None = None
    """Seconds for which browsers are told to use https only (RFC 6797), in every answer."""
    priority_case: PriorityCase = "upper"
    """Case of `priority` in answers, `upper` or `lower`. Input is accepted in any case."""
    list_envelope: str | None = None
    """Member of an object in which lists are answered, such as `tasks`. Default a bare array."""
    cors_origins: tuple[str, ...] = ()
    """Origins that browsers may call from, comma-separated; `https://*.example.com` is any name one below, and `*` any
    origin, both without credentials."""
    rate_limit: Limit | None = field(default=Limit(600, 60))
    """Requests of a user, such as `600/minute`; further ones are answered 429. `off` for none."""
    rate_limit_writes: Limit | None = field(default=Limit(300, 60))
    """The same for writes, which count in both. A client that reads after each write meets the two at the same time."""
    rate_limit_failed_auth: Limit | None = field(default=Limit(30, 60))
    """Requests of a client address that are answered 401; further ones are 429. Valid tokens are still served."""
    rate_limit_url: str = field(default="", repr=False)
    """Redis or Valkey server that counts for all workers and hosts. Default each worker by itself."""
    events_url: str = field(default="", repr=False)
    """Redis or Valkey server that tells all workers and hosts of writes. Default each worker asks the database."""
    max_streams: Annotated[int, Meta(ge=0, le=1_000_000)] = 5000
    """Streams of events that each worker holds open; further ones are answered 503."""
    max_streams_per_user: Annotated[int, Meta(ge=1, le=1000)] = 10
    """Those of one user; further ones are answered 429."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks whose `Forwarded` and `X-Forwarded-For` are believed, comma-separated; `unix` for Unix sockets."""
    shutdown_delay: Annotated[float, Meta(ge=0, le=60)] = 1.0
    """Seconds from SIGTERM in which requests are still taken, while `/ready` is 503."""
    shutdown_timeout: Annotated[int, Meta(ge=1, le=60)] = 7
    """Seconds that accepted requests have to end after that."""
    database_url_unpooled: str | None = field(default=None, repr=False)
    """Direct PostgreSQL URL, as Neon and Vercel name it; migrations connect with it. Default DATABASE_URL."""
    migrate_on_start: bool = False
    """Migrate before serving; replicas that start at once take turns."""
    otel_exporter_otlp_endpoint: str | None = field(default=None, repr=False)
    """Address of an OpenTelemetry collector (OTLP over HTTP), which switches traces on."""
    otel_exporter_otlp_traces_endpoint: str | None = field(default=None, repr=False)
    """The same for traces alone, with its whole path. Default `{OTEL_EXPORTER_OTLP_ENDPOINT}/v1/traces`."""
    sentry_dsn: str | None = field(default=None, repr=False)
    """DSN of a project at Sentry, which is told of exceptions that nobody expected."""
    sentry_environment: str | None = None
    """What these are filed under. Default `production`."""
    direct_dispatch: bool = True
    """Call the handlers of ordinary requests directly; `false` sends every request through Litestar, to compare."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe level that is logged."""
    log_format: Literal["json", "console"] = "json"
    """`json` for machines, `console` for people."""
    metrics_port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    """Port at which `litestar run` answers Prometheus. Default none; the API's own port has no metrics."""
    metrics_host: str = "127.0.0.1"
    """Address of that port: whoever reaches it reads the metrics."""
    prometheus_multiproc_dir: str | None = None
    """Folder for the workers' numbers, of this service alone; it is emptied. Default one of each run, in memory."""
    development: bool = False  # not a variable: whether DATABASE_URL is the embedded database

    @property
    def priority_names(self) -> tuple[str, str, str]:
        """The priorities as answers write them, in the order of their stored numbers 1, 2, 3."""
        return ("low", "medium", "high") if self.priority_case == "lower" else ("LOW", "MEDIUM", "HIGH")

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret that verifies a token, the current one first."""
        return tuple(filter(None, dict.fromkeys((*self.better_auth_secrets, self.better_auth_secret))))

    @property
    def traces_url(self) -> str | None:
        """Where traces are sent, None where nobody takes them."""
        base = self.otel_exporter_otlp_endpoint
        return self.otel_exporter_otlp_traces_endpoint or (base and f"{base.rstrip('/')}/v1/traces")

    @property
    def issuer(self) -> str | None:
        """What `iss` has to be: JWT_ISSUER, or the origin that Better Auth signs with."""
        return self.jwt_issuer or self._origin

    @property
    def oauth_issuer(self) -> str | None:
        """What `iss` of an OAuth client's token may be, too: JWT_ISSUER, or Better Auth's address with base path."""
        return self.jwt_issuer or self._base

    @property
    def audiences(self) -> frozenset[str]:
        """What `aud` has to name: one of JWT_AUDIENCE, or the origin that Better Auth signs with."""
        return frozenset(self.jwt_audience or filter(None, [self._origin]))

    @property
    def _origin(self) -> str | None:
        origin = ORIGIN.match(self.better_auth_url or "")
        return origin and origin[0]

    @property
    def _base(self) -> str | None:
        """Better Auth's address with its base path, which is /api/auth if the URL has none."""
        origin = self._origin
        return f"{origin}/api/auth" if origin and origin == self.better_auth_url else self.better_auth_url

    @property
    def keys_url(self) -> str | None:
        """Where the public keys are: JWKS_URL, or Better Auth's endpoint."""
        if self.jwks_url or not self.better_auth_url:
            return self.jwks_url
        return f"{self._base}/jwks"

    @classmethod
    def from_env(cls, environ: Mapping[str, str | None] | None = None) -> Self:
        """Read and check all settings; without `environ`, those of this process. Raises SettingsError."""
        given = environment() if environ is None else environ
        values: dict[str, Any] = {}
        for name, type_ in get_type_hints(cls, include_extras=True).items():
            text = (given.get(name.upper()) or "").strip()
            if text and name != "development":
                try:
                    values[name] = convert(SPLITTERS.get(name, str)(text), type_, strict=False)
                except (ValidationError, ValueError) as error:
                    raise SettingsError(f"{name.upper()} is not usable: {error}") from None
        _require_complete(values)
        return cls(**values, development=given.get(EMBEDDED_DATABASE_URL) == values["database_url"])


@cache
def get_settings() -> Settings:
    """Return the settings of this process, read once. Raises SettingsError."""
    return Settings.from_env()


def environment() -> dict[str, str | None]:
    """Return the process environment, laid over what `.env` has. Raises SettingsError."""
    try:
        return {**dotenv_values(".env"), **os.environ}
    except (OSError, UnicodeDecodeError):
        raise SettingsError(".env is not a readable file of UTF-8 text.") from None


def hand_down(variable: str, text: str) -> None:
    """Set a variable for libraries that read it, and for the workers to come, which are other processes."""
    os.environ[variable] = text
    get_settings.cache_clear()


@contextmanager
def handing_down(variable: str, text: str) -> Iterator[None]:
    """Set a variable for the workers that are started in the block."""
    os.environ[variable] = text
    try:
        yield
    finally:
        del os.environ[variable]


def handed_down(variable: str) -> str | None:
    """Return what the process that started this worker has set for it."""
    return os.environ.get(variable)


def lend_environment(prefix: str) -> None:
    """Let a library that reads variables of its own find those that stand in `.env`, too."""
    os.environ.update({name: text for name, text in environment().items() if name.startswith(prefix) and text})


def _require_complete(values: Mapping[str, Any]) -> None:
    """Refuse settings without a database, and those with which no token could ever be verified."""
    has_secret = not values.keys().isdisjoint({"better_auth_secret", "better_auth_secrets"})
    has_keys = "better_auth_url" in values or "jwks_url" in values or values.get("jwks_source") == "database"
    if has_keys and "better_auth_url" not in values and not {"jwt_issuer", "jwt_audience"} <= values.keys():
        raise SettingsError("JWKS_URL and JWKS_SOURCE need BETTER_AUTH_URL, or JWT_ISSUER and JWT_AUDIENCE, too.")
    if "database_url" not in values:
        direct = "DATABASE_URL_UNPOOLED is set, but DATABASE_URL is not; the server needs it."
        raise SettingsError(direct if "database_url_unpooled" in values else "DATABASE_URL is not set.")
    if not has_secret and not has_keys:
        raise SettingsError("BETTER_AUTH_SECRET is not set, nor is BETTER_AUTH_URL; set what Better Auth itself uses.")
    usable = ({"HS256"} if has_secret else set()) | (ASYMMETRIC if has_keys else set())
    if usable.isdisjoint(values.get("jwt_algorithm", usable)):
        raise SettingsError("JWT_ALGORITHM allows only algorithms that there are no keys for.")


def _secret(text: str) -> str:
    if len(text.encode()) < MINIMUM_SECRET_BYTES:
        raise ValueError(f"it is shorter than {MINIMUM_SECRET_BYTES} bytes; {ADVICE}")
    if PLACEHOLDER.search(text) or len(set(text)) < MINIMUM_SECRET_LETTERS:
        raise ValueError(f"it looks like a placeholder; {ADVICE}")
    return text


def _versioned_secrets(text: str) -> tuple[str, ...]:
    """Split `2:new,1:old`, the form of Better Auth's BETTER_AUTH_SECRETS (its source, 1.7)."""
    entries = [entry.strip().partition(":") for entry in text.split(",")]
    if not all(version.isdecimal() for version, _, _ in entries):
        raise ValueError("it has to look like `2:new-secret,1:old-secret`")
    return tuple(_secret(value.strip()) for _, _, value in entries)


def _list(text: str) -> tuple[str, ...]:
    return tuple(entry.strip() for entry in text.split(",") if entry.strip())


def _identifier(text: str) -> str:
    if not IDENTIFIER.fullmatch(text):
        raise ValueError("it has to be a name like `tasks`, at most 32 letters, digits and _")
    return text


def _collector(text: str) -> str:
    if not COLLECTOR.fullmatch(text):
        raise ValueError("it has to look like `http://collector:4318`")
    return text


def _dsn(text: str) -> str:
    if not DSN.fullmatch(text):
        raise ValueError("it has to look like `https://key@host/number`")
    return text


def _address(text: str) -> str:
    if not ADDRESS.fullmatch(text):
        raise ValueError("it has to look like `https://auth.example.com`")
    return text.rstrip("/")


SPLITTERS: Final = {
    "better_auth_secret": _secret,
    "better_auth_secrets": _versioned_secrets,
    "better_auth_url": _address,
    "jwks_url": _address,
    "jwt_algorithm": _list,
    "jwt_audience": _list,
    "list_envelope": _identifier,
    "otel_exporter_otlp_endpoint": _collector,
    "otel_exporter_otlp_traces_endpoint": _collector,
    "sentry_dsn": _dsn,
    "cors_origins": origins.read,
    "rate_limit": quotas.limit,
    "rate_limit_writes": quotas.limit,
    "rate_limit_failed_auth": quotas.limit,
    "rate_limit_url": quotas.server,
    "events_url": quotas.server,
    "trusted_proxies": quotas.proxies,
}

"""The only reader of the environment; wrong values stop the start with one sentence that names the variable."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, Self, get_args, get_type_hints

from dotenv import dotenv_values
from msgspec import Meta, ValidationError, convert

from app.development import postgres, secret

PriorityCase = Literal["upper", "lower"]
StatementMode = Literal["auto", "named", "unnamed"]
Algorithm = Literal["HS256", "EdDSA", "Ed25519", "ES256", "ES384", "ES512", "RS256", "RS512", "PS256"]
ASYMMETRIC: Final = {*get_args(Algorithm)} - {"HS256"}
Seconds = Annotated[float, Meta(ge=0.1, le=60)]

MINIMUM_SECRET_BYTES: Final = 32
MINIMUM_SECRET_LETTERS: Final = 8
PLACEHOLDER: Final = re.compile(r"change[-_ ]?me|your[-_ ]|placeholder|example|better-auth-secret-123", re.IGNORECASE)
ORIGIN: Final = re.compile(r"https?://[^/\s*?#@]+")
ADDRESS: Final = re.compile(r"https?://[^/\s*?#@]+(/[^\s?#]*)?")
DEVELOPMENT_ORIGINS: Final = ("http://localhost:3000", "http://localhost:5173", "http://localhost:8081")


class SettingsError(SystemExit):
    """A setting is missing or wrong. As a SystemExit it ends every launcher with its one sentence on stderr."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that differs between two installations. The environment variable is the field's name in capitals."""

    database_url: str = field(repr=False)
    """PostgreSQL URL as Neon, Vercel or Docker hand it out. Unset: `litestar run` starts an embedded database."""

    better_auth_secret: str = field(default="", repr=False)
    """Secret shared with Better Auth, at least 32 bytes; verifies HS256 tokens."""

    better_auth_secrets: tuple[str, ...] = field(default=(), repr=False)
    """Secrets during a rotation in Better Auth's own form, `2:new,1:old`; each of them verifies tokens."""

    better_auth_url: str | None = None
    """Address of the Better Auth server. Switches on its own keys; its origin is their default issuer and audience."""

    jwks_url: str | None = None
    """Address of the public keys. Default `{BETTER_AUTH_URL}/api/auth/jwks`."""

    jwks_source: Literal["url", "database"] = "url"
    """`database` reads the keys from Better Auth's table `jwks` in the same database. Default url."""

    jwt_algorithm: tuple[Algorithm, ...] = ()
    """The algorithms that tokens may be signed with, comma-separated. Default all that there are keys for."""

    jwt_issuer: str | None = None
    """Required value of the claim `iss`. Default the origin of BETTER_AUTH_URL, where the token has to carry one."""

    jwt_audience: tuple[str, ...] = ()
    """Accepted values of the claim `aud`, comma-separated. Default as for the issuer."""

    accept_session_jwt: bool = False
    """Accept the JWT of Better Auth's session cookie cache as a bearer token, too. Default false."""

    check_user: bool = False
    """Refuse users that Better Auth's table `user` lacks or bans; asked once a minute per user. Default false."""

    database_pool_size: Annotated[int, Meta(ge=1, le=1000)] = 10
    """Connections each worker opens at most, as it needs them. Default 10."""

    database_queue: Annotated[int, Meta(ge=0, le=100_000)] = 200
    """Requests of each worker that may wait for a connection; further ones are answered 503 at once. Default 200."""

    database_timeout: Seconds = 4.5
    """Seconds a request may spend on the database, waiting and trying again included. Default 4.5."""

    database_cold_start_timeout: Seconds = 10.0
    """The same, until a worker has reached the database for the first time. Default 10."""

    database_connect_timeout: Seconds = 4.0
    """Seconds to open a connection; `connect_timeout` in the URL has precedence. Default 4."""

    database_statements: StatementMode = "auto"
    """`named` keeps prepared statements in the server, `unnamed` suits every pooler. Default `auto`: ask the URL."""

    list_cache_bytes: Annotated[int, Meta(ge=0, le=2**34)] = 16 * 1024 * 1024
    """Memory of each worker for list bodies that the database confirms by revision; 0 turns it off. Default 16 MiB."""

    max_body_bytes: Annotated[int, Meta(ge=1024, le=2**24)] = 64 * 1024
    """Largest request body, in bytes; longer ones are answered 413. Default 64 KiB."""

    priority_case: PriorityCase = "upper"
    """Case of `priority` in answers, `upper` or `lower`. Input is accepted in any case. Default upper."""

    cors_origins: tuple[str, ...] = ()
    """Origins that browsers may call from, comma-separated; `*` allows any, without credentials. Default none."""

    shutdown_delay: Annotated[float, Meta(ge=0, le=60)] = 1.0
    """Seconds from SIGTERM in which requests are still taken, while `/ready` is 503; none in development. Default 1."""

    shutdown_timeout: Annotated[int, Meta(ge=1, le=60)] = 7
    """Seconds that accepted requests have to end after that. Default 7."""

    database_url_unpooled: str | None = field(default=None, repr=False)
    """Direct PostgreSQL URL, as Neon and Vercel name it; migrations connect with it. Default DATABASE_URL."""

    migrate_on_start: bool = False
    """Migrate before serving; replicas that start at once take turns. Default false."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe level that is logged. Default info."""

    log_format: Literal["json", "console"] = "json"
    """`json` for machines, `console` for people. Default json; console with the embedded database."""

    development: bool = False
    """Not a variable: true while the embedded database of `litestar run` is in use."""

    @property
    def priority_names(self) -> tuple[str, str, str]:
        """How answers write the priorities that are stored as 1, 2 and 3."""
        return ("LOW", "MEDIUM", "HIGH") if self.priority_case == "upper" else ("low", "medium", "high")

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret that verifies a token, the current one first."""
        return tuple(filter(None, dict.fromkeys((*self.better_auth_secrets, self.better_auth_secret))))

    @property
    def issuer(self) -> str | None:
        """What `iss` has to be: JWT_ISSUER, or the origin that Better Auth signs with."""
        origin = ORIGIN.match(self.better_auth_url or "")
        return self.jwt_issuer or (origin and origin[0])

    @property
    def audiences(self) -> frozenset[str]:
        """What `aud` has to name: one of JWT_AUDIENCE, or the origin that Better Auth signs with."""
        origin = ORIGIN.match(self.better_auth_url or "")
        return frozenset(self.jwt_audience or ({origin[0]} if origin else ()))

    @property
    def keys_url(self) -> str | None:
        """Where the public keys are: JWKS_URL, or Better Auth's endpoint, below its base path if the URL has one."""
        if self.jwks_url or not self.better_auth_url:
            return self.jwks_url
        has_path = not ORIGIN.fullmatch(self.better_auth_url)
        return f"{self.better_auth_url}/jwks" if has_path else f"{self.better_auth_url}/api/auth/jwks"

    @classmethod
    def from_env(cls, environ: Mapping[str, str | None] | None = None) -> Self:
        """Read and check all settings; without `environ`, from `.env` overlaid by the process environment.

        Raises SettingsError.
        """
        merged = {**_dotenv(), **os.environ} if environ is None else environ
        values: dict[str, Any] = {}
        for name, type_ in get_type_hints(cls, include_extras=True).items():
            text = (merged.get(name.upper()) or "").strip()
            if text and name != "development":
                try:
                    values[name] = convert(SPLITTERS.get(name, str)(text), type_, strict=False)
                except (ValidationError, ValueError) as error:
                    raise SettingsError(f"{name.upper()} is not usable: {error}") from None
        return cls(**_completed(values))


def _dotenv() -> dict[str, str | None]:
    try:
        return dotenv_values(".env")
    except (OSError, UnicodeDecodeError):
        raise SettingsError(".env is not a readable file of UTF-8 text.") from None


def _completed(values: dict[str, Any]) -> dict[str, Any]:
    """Add what the embedded database of development stands in for; refuse to guess anywhere else."""
    has_secret = not values.keys().isdisjoint({"better_auth_secret", "better_auth_secrets"})
    has_keys = "better_auth_url" in values or "jwks_url" in values or values.get("jwks_source") == "database"
    if has_keys and "better_auth_url" not in values and not {"jwt_issuer", "jwt_audience"} <= values.keys():
        raise SettingsError(
            "JWKS_URL and JWKS_SOURCE need BETTER_AUTH_URL, or JWT_ISSUER and JWT_AUDIENCE, beside them."
        )
    if "database_url" in values:
        if not has_secret and not has_keys:
            raise SettingsError(
                "BETTER_AUTH_SECRET is not set, nor is BETTER_AUTH_URL; give one the value your Better Auth server has."
            )
        usable = ({"HS256"} if has_secret else set()) | (ASYMMETRIC if has_keys else set())
        if usable.isdisjoint(values.get("jwt_algorithm", usable)):
            raise SettingsError("JWT_ALGORITHM allows only algorithms that there are no keys for.")
        return values
    if "database_url_unpooled" in values:
        raise SettingsError("DATABASE_URL_UNPOOLED is set, but DATABASE_URL is not; the server needs it.")
    if not postgres.available():
        raise SettingsError("DATABASE_URL is not set, and the embedded database of development is not installed.")
    return {
        "log_format": "console",
        "cors_origins": DEVELOPMENT_ORIGINS,
        **({} if has_secret else {"better_auth_secret": secret.kept()}),
        **values,
        "database_url": postgres.url(),
        "development": True,
    }


def _secret(text: str) -> str:
    if len(text.encode()) < MINIMUM_SECRET_BYTES:
        raise ValueError(f"it is shorter than {MINIMUM_SECRET_BYTES} bytes; `openssl rand -base64 32` makes a good one")
    if PLACEHOLDER.search(text) or len(set(text)) < MINIMUM_SECRET_LETTERS:
        raise ValueError("it looks like a placeholder; `openssl rand -base64 32` makes a good one")
    return text


def _versioned_secrets(text: str) -> tuple[str, ...]:
    """Split `2:new,1:old`, the form of Better Auth's BETTER_AUTH_SECRETS (its source, 1.7)."""
    entries = [entry.strip().partition(":") for entry in text.split(",")]
    if not all(version.isdecimal() for version, _, _ in entries):
        raise ValueError("it has to look like `2:new-secret,1:old-secret`")
    return tuple(_secret(value.strip()) for _, _, value in entries)


def _list(text: str) -> tuple[str, ...]:
    return tuple(entry.strip() for entry in text.split(",") if entry.strip())


def _address(text: str) -> str:
    if not ADDRESS.fullmatch(text):
        raise ValueError("it has to look like `https://auth.example.com`")
    return text.rstrip("/")


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(origin.rstrip("/") for origin in _list(text))
    if origins != ("*",) and not all(ORIGIN.fullmatch(origin) for origin in origins):
        raise ValueError("it has to be `*` or a list of origins like `https://app.example.com`")
    return origins


SPLITTERS: Final = {
    "better_auth_secret": _secret,
    "better_auth_secrets": _versioned_secrets,
    "better_auth_url": _address,
    "jwks_url": _address,
    "jwt_algorithm": _list,
    "jwt_audience": _list,
    "cors_origins": _origins,
}

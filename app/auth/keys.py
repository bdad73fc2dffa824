"""Which key may verify a token: its algorithm picks the one path, the path picks the key."""

from collections.abc import Callable
from typing import Any, Final, Protocol

from msgspec import Struct

from app.auth.claims import Policy
from app.auth.jwks import KeySet
from app.auth.refusal import Refused
from app.auth.sources import Endpoint, Table
from app.db.database import Database
from app.settings import ASYMMETRIC, Settings

SHARED: Final = "HS256"


class Candidate(Struct, frozen=True):
    """A key to try, and how to ask later whether it still counts."""

    key: Any
    counts: Callable[[], bool]


class KeySource(Protocol):
    """One family of keys, and what tokens signed with them have to carry."""

    policy: Policy

    async def candidates(self, algorithm: str, key_id: object) -> list[Candidate]:
        """Return the keys that may have signed the token. Raises Refused, or Problem if nobody can tell."""
        ...

    async def close(self) -> None:
        """Give back what is held open."""
        ...


class SharedSecrets:
    """The secrets shared with Better Auth, as raw UTF-8 bytes; more than one while they rotate."""

    def __init__(self, settings: Settings) -> None:
        self._candidates = [Candidate(secret.encode(), lambda: True) for secret in settings.secrets]
        self.policy = Policy(
            issuer=settings.issuer,
            audiences=settings.audiences,
            requires_issuer=settings.jwt_issuer is not None,
            requires_audience=bool(settings.jwt_audience),
            shared=True,
        )

    async def candidates(self, algorithm: str, key_id: object) -> list[Candidate]:  # noqa: ARG002 - HS256 names no key
        """Return all secrets."""
        return self._candidates

    async def close(self) -> None:
        """Nothing is held open."""


class PublicKeys:
    """Better Auth's own keys, by the id in the token's header."""

    def __init__(self, settings: Settings, source: Endpoint | Table) -> None:
        self._source = source
        self._keys = KeySet(source.fetch)
        self.policy = Policy(
            issuer=settings.issuer,
            audiences=settings.audiences,
            requires_issuer=True,
            requires_audience=True,
            shared=False,
        )

    async def candidates(self, algorithm: str, key_id: object) -> list[Candidate]:
        """Return the one key with the token's key id, if it may verify this algorithm."""
        if not isinstance(key_id, str) or not key_id:
            raise Refused("its header has no `kid`, so no key can be looked up for it")
        key = await self._keys.find(key_id)
        if key is None:
            raise Refused("it is signed with a key that the issuer does not publish: is it another server's?")
        if algorithm not in key.algorithms:
            raise Refused(f"its algorithm {algorithm} is not one that its key is for")
        return [Candidate(key.key, lambda: self._keys.holds(key))]

    async def close(self) -> None:
        """Close what the source holds open."""
        await self._source.close()


def sources(settings: Settings, lane: Database | None) -> dict[str, KeySource]:
    """Return the source of keys for each algorithm that the settings allow and have keys for."""
    found: dict[str, KeySource] = {}
    if settings.secrets:
        found[SHARED] = SharedSecrets(settings)
    source = _public_source(settings, lane)
    if source is not None:
        found |= dict.fromkeys(sorted(ASYMMETRIC), PublicKeys(settings, source))
    allowed = settings.jwt_algorithm or found.keys()
    return {name: source for name, source in found.items() if name in allowed}


def _public_source(settings: Settings, lane: Database | None) -> Endpoint | Table | None:
    if settings.jwks_source == "database":
        return Table(lane) if lane is not None else None
    return Endpoint(settings.keys_url) if settings.keys_url else None

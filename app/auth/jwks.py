"""The issuer's public keys, fetched when a token needs them and as rarely as can be, whatever tokens come in."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import asyncpg
import httpx
import structlog
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.auth.jwk import VerificationKey, read_set
from app.errors import RETRY_SOON, Problem

TTL_SECONDS: Final = 300
COOLDOWN_SECONDS: Final = 5
"""Least time between two fetches, so that unknown key ids cannot make us hammer the issuer."""

KEEP_SECONDS: Final = 3600
"""How long keys outlive an issuer that does not answer."""

TIMEOUT_SECONDS: Final = 3

FAILURES: Final = (
    httpx.HTTPError,
    OSError,
    TimeoutError,
    ValueError,
    RecursionError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    PoolTimeoutError,
)

logger = structlog.get_logger("app.auth")


class IssuerUnavailable(Problem):
    """Nobody can tell whether the token's key is the issuer's."""

    status, code, headers = 503, "issuer_unavailable", RETRY_SOON
    detail = "The issuer of the token cannot be asked for its keys right now; try again"


class KeySet:
    """Keys by id. `fetch` returns the decoded JWK set, or raises one of FAILURES."""

    def __init__(self, fetch: Callable[[], Awaitable[Any]]) -> None:
        self._fetch = fetch
        self._keys: dict[str, VerificationKey] = {}
        self._fetched = float("-inf")
        self._attempted = float("-inf")
        self._searched = float("-inf")
        self._failed = False
        self._refreshing: asyncio.Task[None] | None = None

    def holds(self, key: VerificationKey) -> bool:
        """Whether a key that was found before still counts."""
        return self._keys.get(key.key_id) is key and time.monotonic() - self._fetched < KEEP_SECONDS

    async def find(self, key_id: str) -> VerificationKey | None:
        """Return the key with this id, or None if the issuer has none. Raises Problem (503) if nobody can tell."""
        known = self._keys.get(key_id)
        now = time.monotonic()
        if known is not None and now - self._fetched < TTL_SECONDS:
            return known
        usable = known is not None and now - self._fetched < KEEP_SECONDS
        joins = self._refreshing is not None
        if self._may_refresh(now):
            refreshing = self._refresh()
            if not (usable and self._failed):  # with the issuer down, tokens with known keys do not wait for it
                await asyncio.shield(refreshing)
        if joins and key_id not in self._keys and self._may_refresh(time.monotonic()):
            await asyncio.shield(self._refresh())  # what was joined may have begun before the key was published
        key = self._keys.get(key_id)
        if key is not None and self.holds(key):
            return key
        if self._failed:
            raise IssuerUnavailable
        return None

    def _may_refresh(self, now: float) -> bool:
        """Whether a fetch may start, or be joined: for old keys after a failure, and in search of an unknown id.

        The two cool down apart, so that a key made right after a fetch is found at once.
        """
        if self._refreshing is not None:
            return True
        if now - self._fetched >= TTL_SECONDS:
            return now - self._attempted >= COOLDOWN_SECONDS
        if now - self._searched < COOLDOWN_SECONDS:
            return False
        self._searched = now
        return True

    def _refresh(self) -> asyncio.Task[None]:
        """Start a fetch, or join the one under way."""
        if self._refreshing is None:
            self._attempted = time.monotonic()
            self._refreshing = asyncio.create_task(self._replace())
        return self._refreshing

    async def _replace(self) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                self._keys = read_set(await self._fetch(), self._keys)
            self._fetched = time.monotonic()
            self._failed = False
            logger.debug("keys fetched", key_ids=sorted(self._keys))
        except FAILURES as error:
            self._failed = True
            logger.warning("keys cannot be fetched", error=type(error).__name__)
        finally:
            self._refreshing = None

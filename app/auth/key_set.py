"""Which public keys the issuer has: fetched when a token needs one, and as rarely as can be whatever tokens come in."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from app.auth.keys import VerificationKey, read_keys
from app.errors import RETRY_SOON, Problem

TTL_SECONDS: Final = 300
COOLDOWN_SECONDS: Final = 5  # least time between two fetches, so that unknown key ids cannot make us hammer the issuer
KEEP_SECONDS: Final = 3600  # how long keys outlive an issuer that does not answer
TIMEOUT_SECONDS: Final = 3

logger = structlog.get_logger("app.auth")


class IssuerUnavailable(Problem):
    """Nobody can tell whether the token's key is the issuer's."""

    status, code, headers = 503, "issuer_unavailable", RETRY_SOON
    detail = "The issuer of the token cannot be asked for its keys right now; try again"


class KeySet:
    """Keys by id; `fetch` returns the members of the issuer's JWK set."""

    def __init__(self, fetch: Callable[[], Awaitable[list[Any]]]) -> None:
        self._fetch = fetch
        self._keys: dict[str, VerificationKey] = {}
        self._fetched_at = self._attempted_at = self._searched_at = float("-inf")
        self._failed = False
        self._refreshing: asyncio.Task[None] | None = None
        self.fetches = {"ok": 0, "failed": 0}

    def holds(self, key: VerificationKey) -> bool:
        """Tell whether a key that was found before is still the issuer's."""
        return self._keys.get(key.jwk.kid) is key and time.monotonic() - self._fetched_at < KEEP_SECONDS

    async def find(self, key_id: str) -> VerificationKey | None:
        """Return the key with this id, or None if the issuer has none. Raises IssuerUnavailable."""
        key = self._keys.get(key_id)
        if key is not None and time.monotonic() - self._fetched_at < TTL_SECONDS:
            return key
        joins = self._refreshing is not None
        refreshing = self._refresh()
        keeps = self._failed and key is not None and self.holds(key)  # then nobody waits for an issuer that is down
        if refreshing is not None and not keeps:
            await asyncio.shield(refreshing)
        if joins and key_id not in self._keys and (again := self._refresh()) is not None:
            await asyncio.shield(again)  # what was joined may have begun before the key was published
        key = self._keys.get(key_id)
        if key is not None and self.holds(key):
            return key
        if self._failed:
            raise IssuerUnavailable
        return None

    def _refresh(self) -> asyncio.Task[None] | None:
        """Return the fetch under way, or start one if it is time to."""
        now = time.monotonic()
        # in search of an unknown id it cools down apart, so that a key made right after a fetch is found at once
        is_search = now - self._fetched_at < TTL_SECONDS
        last = self._searched_at if is_search else self._attempted_at
        if self._refreshing is None and now - last >= COOLDOWN_SECONDS:
            self._attempted_at = now
            self._searched_at = now if is_search else self._searched_at
            self._refreshing = asyncio.create_task(self._replace())
        return self._refreshing

    async def _replace(self) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                self._keys = read_keys(await self._fetch(), self._keys)
            self._fetched_at = time.monotonic()
            self._failed = False
            self.fetches["ok"] += 1
            logger.debug("keys fetched", key_ids=sorted(self._keys))
        except Exception as error:  # noqa: BLE001 - whatever keeps the keys away, those that are known go on working
            self._failed = True
            self.fetches["failed"] += 1
            logger.warning("keys cannot be fetched", error=type(error).__name__)
        finally:
            self._refreshing = None

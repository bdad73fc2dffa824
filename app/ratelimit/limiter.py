"""Whether a request may be served now: by user, for writes by user again, and for refused tokens by client address.

A user's own limits are asked after the token and before anything else of a request. A token that is accepted is never
held against its address, nor is an address against the token: many share one behind a NAT.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Any, Final, Protocol

from app.errors import TooManyRequests
from app.http.headers import values
from app.quotas import Limit
from app.ratelimit.client_address import ClientAddress
from app.ratelimit.memory import MemoryCounts
from app.ratelimit.standing import Standing
from app.settings import Settings

USER: Final = "user"
WRITES: Final = "writes"
FAILED_AUTH: Final = "failed-auth"
READS: Final = frozenset({"GET", "HEAD"})
REMEMBERED: Final = 4096
"""Refused credentials that are answered without a look; all are forgotten when there are more."""

REMEMBERED_SECONDS: Final = 10
"""For how long: a key of the issuer's that was not known yet may be by then."""


class CountsOne(Protocol):
    """Counts a request of a key, and returns where it stands in each limit; nothing where nobody can tell now."""

    async def __call__(self, key: str) -> Sequence[Standing]:
        """Count."""


class Counts(Protocol):
    """Where requests are counted."""

    def counter(self, limits: dict[str, Limit]) -> CountsOne:
        """Return what counts in each of these limits, whose names stay the same."""

    async def open(self) -> None:
        """Get ready to count."""

    async def close(self) -> None:
        """Let go of what is held."""


class Quota:
    """The limits of one kind of request, with their headers (draft-ietf-httpapi-ratelimit-headers-10)."""

    def __init__(self, limits: dict[str, Limit], counts: Counts, refused: Counter[str]) -> None:
        self._names = [*limits]
        self._refused = refused
        self._counter = counts.counter(limits)
        # what counts in memory does so without a coroutine, and in a single limit without a list: a third of the cost
        self._at_once: Callable[[str], Sequence[Standing]] | None = getattr(self._counter, "at_once", None)
        self._only: Callable[[str], Standing] | None = getattr(self._counter, "only", None)
        policies = ", ".join(f'"{name}";q={amount};w={seconds}' for name, (amount, seconds) in limits.items())
        self._policy = (b"ratelimit-policy", policies.encode())
        self._template = ", ".join(f'"{name}";r=%d;t=%d' for name in limits).encode()

    def take(self, scope: Any, key: str) -> Awaitable[None] | None:
        """Count a request, and leave the headers of its answer in the state; await what is returned, unless it is None.

        Raises TooManyRequests.
        """
        if self._only is not None:
            allowed, remaining, seconds = self._only(key)
            state = scope["state"]
            state["rate_limit"] = (self._policy, (b"ratelimit", self._template % (remaining, seconds)))
            if not allowed:
                self._refused[self._names[0]] += 1
                raise TooManyRequests(seconds)
            return None
        if self._at_once is None:
            return self._take(scope, key)
        self._note(scope, self._at_once(key))
        return None

    async def _take(self, scope: Any, key: str) -> None:
        self._note(scope, await self._counter(key))

    def _note(self, scope: Any, standings: Sequence[Standing]) -> None:
        numbers: list[int] = []
        wait = 0
        for allowed, remaining, seconds in standings:
            numbers += remaining, seconds
            if not allowed and seconds > wait:
                wait = seconds
        headers = [self._policy]
        if numbers:
            headers.append((b"ratelimit", self._template % tuple(numbers)))
        scope["state"]["rate_limit"] = headers
        if wait:
            longest = [0 if allowed else seconds for allowed, _, seconds in standings].index(wait)
            self._refused[self._names[longest]] += 1
            raise TooManyRequests(wait)


class RateLimiter:
    """All limits that the settings ask for; what is off costs nothing."""

    def __init__(self, settings: Settings) -> None:
        counts = _counts(settings.rate_limit_url)
        self.open, self.close = counts.open, counts.close
        user = {USER: settings.rate_limit} if settings.rate_limit else {}
        writes = {WRITES: settings.rate_limit_writes} if settings.rate_limit_writes else {}
        failed = {FAILED_AUTH: settings.rate_limit_failed_auth} if settings.rate_limit_failed_auth else {}
        self.refused = Counter(dict.fromkeys(user | writes | failed, 0))
        """How many requests each limit has refused."""

        self._reads = Quota(user, counts, self.refused) if user else None
        self._writes = Quota(user | writes, counts, self.refused) if user or writes else None
        self._failed = Quota(failed, counts, self.refused) if failed else None
        self._address = ClientAddress(settings.trusted_proxies)
        self._remembered: dict[int, float] = {}

    def request(self, scope: Any, user_id: str) -> Awaitable[None] | None:
        """Count a verified user's request as `Quota.take` does; writes count twice. Raises TooManyRequests."""
        quota = self._reads if scope["method"] in READS else self._writes
        return None if quota is None else quota.take(scope, user_id)

    def refuse_again(self, scope: Any) -> None:
        """Raise TooManyRequests for credentials that were refused so a moment ago, from the same address.

        So whoever repeats a dead token costs no signature check. One that nobody has seen is always checked: it may be
        the valid one of a neighbour behind the same NAT.
        """
        if self._remembered:
            left = self._remembered.get(self._credentials(scope), 0.0) - monotonic()
            if left > 0:
                self.refused[FAILED_AUTH] += 1
                raise TooManyRequests(int(left) + 1)

    async def refusal(self, scope: Any) -> None:
        """Count a request without a good token. Raises TooManyRequests where it is not to be answered 401 any more."""
        if self._failed is None:
            return
        self.refuse_again(scope)
        try:
            if (counted := self._failed.take(scope, self._address(scope))) is not None:
                await counted
        except TooManyRequests as problem:
            if len(self._remembered) >= REMEMBERED:
                self._remembered.clear()
            self._remembered[self._credentials(scope)] = monotonic() + min(problem.retry_after, REMEMBERED_SECONDS)
            raise

    def _credentials(self, scope: Any) -> int:
        return hash((self._address(scope), *values(scope, b"authorization")))


def _counts(url: str) -> Counts:
    if not url:
        return MemoryCounts()
    from app.ratelimit.shared import SharedCounts  # noqa: PLC0415 - the client takes half a second to import

    return SharedCounts(url)

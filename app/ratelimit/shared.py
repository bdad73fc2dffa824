"""Counts on a Redis or Valkey server, the same for all workers and hosts.

While that server does not answer, nothing is counted: no request is refused, and none waits longer than 50 ms.
"""

import asyncio
import re
from collections.abc import Awaitable, Sequence
from typing import Any, Final, NamedTuple, cast

import structlog
from limits.aio.storage import RedisStorage
from limits.aio.storage.redis.redispy import RedispyBridge
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from app.quotas import Limit
from app.ratelimit.standing import Standing, standing

LOOKS: Final = 4
LOOK_SECONDS: Final = 0.01
"""How often to look for an answer, and how long each time, 40 ms together. One that came while this process had no time
to look is not missed."""

PAUSE: Final = 1.0
"""Seconds in which nobody waits for a server that did not answer; then a single request tries it."""

LONGEST: Final = 2.0
"""Seconds for a connection or an answer, behind the back of the requests."""

BATCHES: Final = 4
LARGEST: Final = 32
"""How many batches are under way at once, of how many requests; what comes meanwhile travels in the next one."""

WARNING_SECONDS: Final = 60

logger = structlog.get_logger("app.ratelimit")


class Hit(NamedTuple):
    """A request to be counted in some limits."""

    keys: Sequence[str]
    limits: Sequence[Limit]
    standings: "asyncio.Future[list[Standing]]"


class SharedCounts:
    """Sends what arrives together as one pipeline of the scripts of the library `limits`, which count atomically."""

    def __init__(self, url: str) -> None:
        options: dict[str, Any] = {
            "implementation": "redispy",
            "key_prefix": "litestar-tasks",
            "socket_timeout": LONGEST,
            "socket_connect_timeout": LONGEST,
            "retry": Retry(NoBackoff(), 1),  # a connection may have ended while it was idle
        }
        storage = RedisStorage(f"async+{re.sub('^valkey', 'redis', url)}", **options)  # they speak the same protocol
        self._bridge = cast("RedispyBridge", storage.bridge)
        self._redis = cast("Redis", self._bridge.get_connection())
        self._waiting: list[Hit] = []
        self._batches: set[asyncio.Task[None]] = set()
        self._asked: set[asyncio.Task[None]] = set()
        self._away = False
        self._again = self._warn = 0.0

    async def open(self) -> None:
        """Connect, so that the first request does not have to."""
        try:
            await cast("Awaitable[bool]", self._redis.ping())
        except Exception as error:  # noqa: BLE001 - whatever it is, requests are served without
            self._lost([], error)

    def counter(self, limits: dict[str, Limit]) -> "SharedCounter":
        """Return what counts in each of these limits; one name is one window."""
        return SharedCounter(self, limits)

    async def hit(self, keys: Sequence[str], limits: Sequence[Limit]) -> list[Standing]:
        """Count a request, and return where it stands in each limit; nothing while the server is away."""
        loop = asyncio.get_running_loop()
        if self._away:
            if loop.time() < self._again:
                return []
            self._again = loop.time() + PAUSE
        hit = Hit(keys, limits, loop.create_future())
        self._waiting.append(hit)
        if len(self._waiting) == 1:
            self._send()
        return await hit.standings

    def _send(self) -> None:
        """Start the next batch, if there is room for it; it takes along what arrives until it runs."""
        if len(self._batches) < BATCHES:
            batch = asyncio.create_task(self._batch())
            self._batches.add(batch)
            batch.add_done_callback(self._sent)

    def _sent(self, batch: "asyncio.Task[None]") -> None:
        self._batches.discard(batch)
        if self._waiting:
            self._send()

    async def _batch(self) -> None:
        hits, self._waiting = self._waiting[:LARGEST], self._waiting[LARGEST:]
        if self._waiting:
            self._send()
        asked = asyncio.create_task(self._ask(hits))
        self._asked.add(asked)
        asked.add_done_callback(self._asked.discard)
        for _ in range(LOOKS):
            if (await asyncio.wait([asked], timeout=LOOK_SECONDS))[0]:
                return
        self._lost(hits, TimeoutError("no answer in time"))

    async def _ask(self, hits: list[Hit]) -> None:
        try:
            answers = await self._run(hits)
        except Exception as error:  # noqa: BLE001 - whatever it is, requests are served without
            self._lost(hits, error)
            return
        for hit, standings in zip(hits, answers, strict=True):
            if not hit.standings.done():  # in time, and the client is still there
                hit.standings.set_result(standings)
                self._found()

    async def _run(self, hits: list[Hit]) -> list[list[Standing]]:
        bridge = self._bridge
        pipeline: Any
        async with self._redis.pipeline(transaction=False) as pipeline:
            for hit in hits:
                for key, (amount, seconds) in zip(hit.keys, hit.limits, strict=True):
                    current = bridge.prefixed_key(f"{{{key}}}")
                    windows = [f"{current}/-1", current]
                    await bridge.lua_acquire_sliding_window(windows, [amount, seconds, 1], client=pipeline)
                    await bridge.lua_sliding_window(windows, [seconds], client=pipeline)
            answers = iter(await pipeline.execute())
        return [[_standing(limit, next(answers), next(answers)) for limit in hit.limits] for hit in hits]

    def _found(self) -> None:
        if self._away:
            self._away = False
            logger.warning("rate limits are counted again")

    def _lost(self, hits: list[Hit], error: Exception) -> None:
        """Let requests go on, also those that would have been next, and leave the server alone for a while."""
        now = asyncio.get_running_loop().time()
        self._away = True
        self._again = now + PAUSE
        if now >= self._warn:
            self._warn = now + WARNING_SECONDS
            logger.warning("rate limits are not counted", error=f"{type(error).__name__}: {error}")
        waiting, self._waiting = self._waiting, []
        for hit in (*hits, *waiting):
            if not hit.standings.done():
                hit.standings.set_result([])

    async def close(self) -> None:
        """Close the connections."""
        for task in (*self._batches, *self._asked):
            task.cancel()
        await self._redis.aclose()


class SharedCounter:
    """Counts a request in some of the limits."""

    def __init__(self, counts: SharedCounts, limits: dict[str, Limit]) -> None:
        self._counts = counts
        self._names = [f"{name}/{limit.amount}/{limit.seconds}" for name, limit in limits.items()]
        self._limits = [*limits.values()]

    async def __call__(self, key: str) -> list[Standing]:
        """Return where the key stands in each limit; nothing while the server is away."""
        return await self._counts.hit([f"{name}/{key}" for name in self._names], self._limits)


def _standing(limit: Limit, acquired: Any, window: Sequence[Any]) -> Standing:
    """Read what the two scripts answer: the last one counts, times to live are in ms, and an absent count is null."""
    before, _, count, milliseconds = (int(value or 0) for value in window)
    left = max(0.0, milliseconds / 1000 - limit.seconds)
    return standing(limit, bool(acquired), before, count, left)

"""Passes revisions on to all workers through a Redis or Valkey server, and gets those of the others.

All use one channel: a subscription for each user would have to be confirmed before a stream may begin. What is written
while a message is on its way travels in the next one. Whatever goes wrong, writes and streams go on; while messages do
not come back, the database is asked instead, and everybody asks once whenever somebody may have said nothing.
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from secrets import token_hex
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from litestar.channels.backends.redis import RedisChannelsPubSubBackend
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from app.events.hub import Hub

BEAT_SECONDS: Final = 5.0
"""After so long without a message there is one without contents."""

PATIENCE_SECONDS: Final = 3.0
"""How long a message may take to come back to its sender, who hears them, too: that proves that all the others come."""

PAUSE_SECONDS: Final = 1.0
"""How long after a failure to connect anew."""

CATCH_UP: Final = "!"
"""Asks everybody to look for what nobody has told them."""

LINE: Final = re.compile(r"([A-Za-z0-9_-]{1,128}) (-?)([0-9]{1,19})", re.ASCII)
"""A user and a revision; behind a minus the last one of a user who was erased."""

logger = structlog.get_logger("app.events")


class SharedEvents:
    """Tells `hub` and everybody else. `catch_up` is called where the database has to be asked once."""

    def __init__(self, url: str, hub: Hub, catch_up: Callable[[], None]) -> None:
        self._url = re.sub("^valkey", "redis", url)  # they speak the same protocol
        number = urlsplit(url).path.strip("/") or "0"  # channels know no databases, but installations have one each
        self._channel = f"litestar-tasks:events:{number}"
        self._hub = hub
        self._catch_up = catch_up
        self._own = token_hex(8)
        self._outbox: dict[str, int] = {}
        self._news = asyncio.Event()
        self._came_back = asyncio.Event()
        self._collects = False
        self._warned = False
        self._task: asyncio.Task[None] | None = None
        self.up = False
        """Whether messages come."""

    def moved(self, user_id: str, revision: int) -> None:
        """Tell of a write of this worker."""
        if self._collects and revision > self._outbox.get(user_id, 0):
            self._outbox[user_id] = revision
            self._news.set()
        self._hub.moved(user_id, revision)

    def erased(self, user_id: str, revision: int) -> None:
        """Tell of an erasure by this worker; `revision` was the user's last one."""
        if self._collects:
            self._outbox[user_id] = -revision
            self._news.set()
        self._hub.erased(user_id, revision)

    def doubt(self) -> None:
        """Tell everybody that there may be a write of this worker that it cannot tell of."""
        if self._collects:
            self._outbox[CATCH_UP] = 0
            self._news.set()

    async def start(self) -> None:
        """Connect, behind the back of the requests."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Close the connections."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            options: dict[str, Any] = {
                "socket_timeout": PATIENCE_SECONDS,
                "socket_connect_timeout": PATIENCE_SECONDS,
                "retry": Retry(NoBackoff(), 0),  # to connect anew in silence would hide what was missed meanwhile
            }
            redis: Any = Redis.from_url(self._url, **options)
            backend = RedisChannelsPubSubBackend(redis=redis, stream_sleep_no_subscriptions=60)
            try:
                await backend.subscribe([self._channel])
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._listen(backend))
                    both.create_task(self._speak(backend))
            except Exception as error:  # noqa: BLE001 - whatever it is, everything goes on without
                self._lost(error)
            finally:
                self._collects = self.up = False
                self._outbox.clear()
                with suppress(Exception):
                    await backend.on_shutdown()
                    await redis.aclose()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _speak(self, backend: RedisChannelsPubSubBackend) -> None:
        self._collects = True
        self._outbox[CATCH_UP] = 0  # what this worker, or the one in whose place it is, could not tell of
        while True:
            lines = [_line(user_id, revision) for user_id, revision in self._outbox.items()]
            self._outbox.clear()
            self._news.clear()
            self._came_back.clear()
            await backend.publish("\n".join((self._own, *lines)).encode(), [self._channel])
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._came_back.wait()
            if not self.up:
                self._found()
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_SECONDS):
                    await self._news.wait()

    async def _listen(self, backend: RedisChannelsPubSubBackend) -> None:
        async for _, message in backend.stream_events():
            sender, *lines = message.decode(errors="replace").split("\n")
            if sender == self._own:
                self._came_back.set()
                continue
            for line in lines:
                if line == CATCH_UP:
                    self._catch_up()
                elif found := LINE.fullmatch(line):
                    user_id, erased, revision = found.groups()
                    (self._hub.erased if erased else self._hub.moved)(user_id, int(revision))

    def _found(self) -> None:
        self.up = True
        self._catch_up()
        if self._warned:
            self._warned = False
            logger.warning("events are shared again")

    def _lost(self, error: BaseException) -> None:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if not self._warned:
            self._warned = True
            logger.warning("events are not shared", error=type(error).__name__)


def _line(user_id: str, revision: int) -> str:
    return user_id if user_id == CATCH_UP else f"{user_id} {revision}"

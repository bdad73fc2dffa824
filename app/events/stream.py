"""One stream of events: what it says next. However slow its reader is, one number waits, the latest."""

import asyncio
from random import uniform
from typing import Final, Self

RETRY: Final = 2000, 4000
"""Milliseconds after which a client comes back whose stream has ended. Each gets its own, so that they come apart."""

RETRY_ELSEWHERE: Final = 1000, 6000
"""The same where a whole worker's streams end together."""

BEAT: Final = b":\n\n"
EXPIRED: Final = b"event: expired\ndata: {}\n\n"
"""The token's time is over. Without `data` a browser would not tell anybody."""


def retry(milliseconds: tuple[int, int] = RETRY) -> bytes:
    """Say when to come back."""
    return b"retry: %d\n\n" % uniform(*milliseconds)  # noqa: S311 - nobody gains by guessing it


class EventStream:
    """An iterator over the chunks of one stream, made for one task; everything else tells it what there is to say.

    `expires` is the moment at which its token does, in seconds since 1970.
    """

    __slots__ = ("_beat", "_ended", "_last", "_sent", "_waiter", "expires", "revision", "user_id", "wrote_at")

    def __init__(self, user_id: str, expires: float) -> None:
        self.user_id = user_id
        self.expires = expires
        self.revision = 0
        """The latest that is known here; only a higher one is ever sent."""
        self.wrote_at = 0.0
        """When something was last there to be sent, by the event loop's clock."""
        self._sent = -1  # nothing yet, not even when to come back
        self._beat = False
        self._last: bytes | None = None
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None

    def move(self, revision: int) -> bool:
        """Send a revision if it is higher than every one before, and tell whether it is."""
        if revision <= self.revision:
            return False
        self.revision = revision
        self._wake()
        return True

    def beat(self) -> None:
        """Send a comment, which proxies take for life, and which cannot reach a client that has vanished."""
        self._beat = True
        self._wake()

    def expire(self) -> None:
        """End, because the token has."""
        self._end(EXPIRED)

    def end(self) -> None:
        """End, because the server does."""
        self._end(retry(RETRY_ELSEWHERE))

    def leave(self, _: object = None) -> None:
        """End without a word, because nobody is there to read it."""
        self._end(b"")

    def _end(self, last: bytes) -> None:
        if self._last is None:
            self._last = last
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Wait for something to say, and return all of it."""
        if self._ended:
            raise StopAsyncIteration
        loop = asyncio.get_running_loop()
        while not (chunk := self._chunk()) and not self._ended:
            self._waiter = loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self.wrote_at = loop.time()
        return chunk

    def _chunk(self) -> bytes:
        parts = []
        if self._sent < 0:
            self._sent = 0
            parts.append(retry())
        if self.revision > self._sent:
            self._sent = self.revision
            parts.append(b'id: %d\ndata: {"revision": %d}\n\n' % (self._sent, self._sent))
        elif self._beat:
            parts.append(BEAT)
        self._beat = False
        if self._last is not None:
            self._ended = True
            parts.append(self._last)
        return b"".join(parts)

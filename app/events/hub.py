"""All streams of a worker: how many there may be, who is told of a new revision, who is still there."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import random
from typing import Final

from app.events.errors import StreamsFull, TooManyStreams
from app.events.stream import EventStream
from app.settings import Settings

BEAT_SECONDS: Final = 20.0
"""After so long without a word a stream has a comment. With SEND_TIMEOUT, a vanished client is noticed in a minute."""

SWEEP_SECONDS: Final = 0.5
"""How often streams are looked at, all in one go: none has a timer of its own."""


class Hub:
    """Holds the streams by user. `moved` is all that a write has to do with them."""

    def __init__(self, settings: Settings) -> None:
        self._per_user = settings.max_streams_per_user
        self._in_all = settings.max_streams
        self._streams: dict[str, list[EventStream]] = {}
        self._gone: set[str] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self.open = 0
        """How many streams there are."""
        self.opened = 0
        """How many there have been."""
        self.refused = {TooManyStreams.code: 0, StreamsFull.code: 0}
        """How often a stream was refused, by the code of the problem."""

    @property
    def users(self) -> dict[str, int]:
        """Those who have a stream here, with the highest revision that is known of each."""
        return {user_id: self.known(user_id) for user_id in self._streams}

    def known(self, user_id: str) -> int:
        """Return the highest revision that a stream of the user knows."""
        return max((stream.revision for stream in self._streams.get(user_id, ())), default=0)

    def admit(self, user_id: str) -> None:
        """Raise TooManyStreams or StreamsFull where no further stream of the user may be opened."""
        if len(self._streams.get(user_id, ())) >= self._per_user:
            self.refused[TooManyStreams.code] += 1
            raise TooManyStreams
        if self.open >= self._in_all:
            self.refused[StreamsFull.code] += 1
            raise StreamsFull

    @contextmanager
    def holding(self, stream: EventStream) -> Iterator[None]:
        """Tell the stream of every revision for the length of the block."""
        loop = asyncio.get_running_loop()
        stream.wrote_at = loop.time() - random() * BEAT_SECONDS  # noqa: S311 - not all beat at once, whoever came at once
        streams = self._streams.setdefault(stream.user_id, [])
        streams.append(stream)
        self.open += 1
        self.opened += 1
        if self._sweeper is None:
            self._sweeper = loop.call_later(SWEEP_SECONDS, self._sweep, loop)
        try:
            yield
        finally:
            self.open -= 1
            streams.remove(stream)
            if not streams:
                del self._streams[stream.user_id]
                self._gone.discard(stream.user_id)

    def moved(self, user_id: str, revision: int) -> bool:
        """Tell the user's streams of a revision, and return whether it is news to any that knew an earlier one."""
        streams = self._streams.get(user_id)
        if streams is None:
            return False
        self._gone.discard(user_id)
        news = False
        for stream in streams:
            knew = stream.revision
            news |= stream.move(revision) and knew > 0
        return news

    def erased(self, user_id: str, revision: int) -> bool:
        """Tell the user's streams that nothing is left, and return whether that is news; `revision` was the last one.

        No revision says so. The next number is above all that were, and below all of a user who comes back: whoever
        knows a higher one has been told of those.
        """
        if user_id not in self._streams or user_id in self._gone:
            return False
        news = revision > 0 and self.moved(user_id, revision + 1)
        if self.known(user_id) <= revision + 1:
            self._gone.add(user_id)
        return news

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now, clock = loop.time(), time.time()
        for streams in self._streams.values():
            for stream in streams:
                if clock >= stream.expires:
                    stream.expire()
                elif now - stream.wrote_at >= BEAT_SECONDS:
                    stream.wrote_at = now
                    stream.beat()
        self._sweeper = loop.call_later(SWEEP_SECONDS, self._sweep, loop) if self.open else None

"""Sends a stream with Litestar's own streaming, and holds its place for exactly as long."""

import asyncio
from typing import Any, Final

from litestar.response.streaming import ASGIStreamingResponse
from litestar.types import Receive, Scope, Send

from app.events.hub import Hub
from app.events.stream import EventStream
from app.http.answers import ENDING, HEAD_ONLY, STREAM

MEDIA_TYPE: Final = "text/event-stream"
HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""Nginx, and proxies that do as it does, collect an answer first unless they are told not to."""


class StreamAnswer(ASGIStreamingResponse):
    """Sends a stream: what no answer may be longer than does not apply to it, and nothing packs it."""

    def __init__(self, hub: Hub, stream: EventStream) -> None:
        super().__init__(iterator=stream, headers=HEADERS, media_type=MEDIA_TYPE)
        self._hub = hub
        self._events = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the stream or its client ends. It is told of revisions from before the client can know of it."""
        state: Any = scope["state"]
        if HEAD_ONLY in state:
            self.is_head_response = True
            await super().__call__(scope, receive, send)
            return
        state[STREAM] = self._events
        if ENDING in state:  # the server is about to, and has told all that it knew
            self._events.end()
        with self._hub.holding(self._events):
            await super().__call__(scope, receive, send)

    async def send_body(self, send: Send, receive: Receive) -> None:
        """Send what there is to say, until the client goes. Litestar's own way to notice that takes 4 KiB a stream."""
        listening = asyncio.get_running_loop().create_task(_leave(receive))
        listening.add_done_callback(self._events.leave)
        try:
            await self._stream(send)
        finally:
            listening.cancel()


async def _leave(receive: Receive) -> None:
    """Return once the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass

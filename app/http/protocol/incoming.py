"""What a client sends: bounded in bytes, complete by a deadline, and framed the same whatever protocol it asks for.

Deadlines are totals, so dripping bytes extend none. An ordinary request, in one piece, sets no deadline and no timer.
"""

import asyncio
from abc import ABC, abstractmethod
from typing import Any, Final, cast

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.errors import BadRequest, HeaderFieldsTooLarge, InternalError, Problem, URITooLong
from app.http.protocol import framing
from app.http.protocol.cycle import Cycle
from app.http.protocol.transport import GatheringTransport
from app.settings import Settings

NEVER: Final = float("inf")
ADVANCED: Final = -1
"""Stands for a number of bytes where some of them completed a head, a part of a body, or a request."""
PIPELINED: Final = 100
"""Requests that may wait for the answers to earlier ones of their connection."""

logger = structlog.get_logger("app.http")


class Incoming(HttpToolsProtocol, ABC):
    """uvicorn's protocol as far as it reads; `fail` answers what is not acceptable."""

    transport: GatheringTransport  # type: ignore[assignment]  # it stands for the transport that uvicorn expects

    def __init__(self, settings: Settings, *uvicorn: Any) -> None:
        super().__init__(*uvicorn)
        self.settings = settings
        self.url = b""
        self.deadline = NEVER
        """When the rest of a head or a body has to be here."""
        self.in_body = False
        self.failed: Problem | None = None
        """Why nothing more is read."""
        self._accepted: list[tuple[bytes, bytes]] | None = (
            None  # the headers of the last request, mostly the same again
        )
        self._segment = 0  # bytes that are being parsed
        self._pending = 0  # at least so many before them completed nothing yet, or ADVANCED

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it too
        """Begin with a connection, whose first head is due."""
        super().connection_made(cast("asyncio.Transport", GatheringTransport(transport, self.loop)))
        self.deadline = self.loop.time() + self.settings.header_timeout

    def data_received(self, data: bytes) -> None:
        """Parse what came. An error of the parser is answered in its turn, and ends the connection."""
        if self.failed is not None:
            return
        self._segment = len(data)
        try:
            while data := self._feed(data):
                pass
        except httptools.HttpParserError as error:
            self.fail(_problem(error))
            return
        cycle = self.cycle
        if self.in_body or cycle is None or cycle.response_complete or "method" not in self.scope:
            self._expect_more()
        else:
            self._pending = 0

    def _feed(self, data: bytes) -> bytes:
        """Parse, and return what follows an Upgrade."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as pause:
            self._ignore_upgrade()
            return data[pause.args[0] :]
        return b""

    def _ignore_upgrade(self) -> None:
        """Let the body follow of a request that asks for another protocol."""
        self.in_body = True
        self.cycle.more_body = True
        self.cycle.message_event.clear()
        self.parser = framing.body_parser(self, list(self.scope["headers"]))

    def _expect_more(self) -> None:
        """Bound what is incomplete, in bytes and in time."""
        self._pending = 1 if self._pending == ADVANCED else self._pending + self._segment
        if self._pending > self.settings.max_header_bytes:
            if self.in_body:  # by extensions of chunks, by trailers, or after the answer
                self.fail(BadRequest())
            else:
                too_long = len(self.url) > self.settings.max_target_bytes
                self.fail(URITooLong() if too_long else HeaderFieldsTooLarge())
        elif self.deadline == NEVER:
            seconds = self.settings.body_timeout if self.in_body else self.settings.header_timeout
            self.deadline = self.loop.time() + seconds

    @property
    def in_head(self) -> bool:
        """Whether a head has begun that is not complete."""
        return self.scope is not None and "method" not in self.scope

    def on_headers_complete(self) -> None:
        """Begin with a request. Raises a Problem for a head that is not acceptable."""
        settings = self.settings
        version = self.parser.get_http_version()
        if self.headers != self._accepted or version != "1.1" or self.url[:1] != b"/":
            framing.check(version, self.url, self.headers, settings)
            self._accepted = self.headers if version == "1.1" else None
        elif len(self.url) > settings.max_target_bytes:
            raise URITooLong
        if self._pending or self._segment > settings.max_header_bytes:  # a head in one small piece is not counted
            framing.check_size(self.url, self.headers, settings)
        if len(self.pipeline) >= PIPELINED:
            raise BadRequest
        if self.parser.should_upgrade() and self.parser.get_method() == b"CONNECT":
            raise BadRequest
        super().on_headers_complete()
        self.cycle.__class__ = Cycle  # uvicorn asks nobody which one to make, and has not run this one yet
        self.headers = []  # for trailers, which are no headers of the request
        self.in_body = True
        self._pending = ADVANCED
        self.deadline = NEVER

    def on_body(self, body: bytes) -> None:
        """Take a part of a body; one that is still sent after the answer counts as what nobody asked for."""
        if not self.cycle.response_complete:
            self._pending = ADVANCED
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End with a request."""
        self.in_body = False
        self._pending = ADVANCED
        self.deadline = NEVER
        super().on_message_complete()

    def _should_upgrade(self) -> bool:
        return False

    @abstractmethod
    def fail(self, problem: Problem) -> None:
        """Read no more, and answer with a problem."""


def _problem(error: httptools.HttpParserError) -> Problem:
    """Return what one of our own methods raised within the parser, or else what it finds wrong by itself."""
    cause = error.__context__
    if isinstance(cause, Problem):
        return cause
    if cause is None or isinstance(cause, httptools.HttpParserInvalidURLError):
        return BadRequest()
    logger.error("unhandled exception", exc_info=cause)
    return InternalError()

"""A small HTTP/1.1 client that tells apart what a ledger needs told apart: no connection, no answer, an answer."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

import httptools

PATIENCE_SECONDS = 20
"""Far beyond every promise; an answer that takes longer counts as none."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    sent: float
    seconds: float

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Status, and for a problem its code, as in `503 overloaded`."""
        return f"{self.status} {self.json()['code']}" if self.status >= 400 else str(self.status)


class Unreachable(Exception):  # noqa: N818 - what the server is
    """Nothing listens there: nothing was sent."""


class Unanswered(Exception):  # noqa: N818 - what the request is
    """The connection ended, or stayed silent, after the request was sent."""

    def __init__(self, sent: float) -> None:
        super().__init__()
        self.sent = sent


class Connection(asyncio.Protocol):
    """One kept-alive connection, one request at a time."""

    def __init__(self) -> None:
        self.open = False
        self._answered: asyncio.Future[None] | None = None
        self._transport: Any = None
        self._parser: Any = None
        self._headers: dict[str, str] = {}
        self._body = b""

    @classmethod
    async def to(cls, port: int) -> "Connection":
        try:
            _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        except OSError:
            raise Unreachable from None
        return connection

    async def request(self, head: bytes, body: bytes = b"") -> Answer:
        self._headers, self._body = {}, b""
        self._parser = httptools.HttpResponseParser(self)
        self._answered = asyncio.get_running_loop().create_future()
        sent = time.monotonic()
        self._transport.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._answered
        except (ConnectionError, TimeoutError):
            self.close()
            raise Unanswered(sent) from None
        return Answer(
            self._parser.get_status_code(), self._headers, self._body, sent=sent, seconds=time.monotonic() - sent
        )

    def close(self) -> None:
        self.open = False
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.open = True

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if self._answered and not self._answered.done():
            self._answered.set_exception(exc if isinstance(exc, ConnectionError) else ConnectionResetError())

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.open = False
        assert self._answered
        if not self._answered.done():
            self._answered.set_result(None)


class Client:
    """Requests of one user, one after the other, on a connection that is replaced when it has ended."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._headers = f" HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n".encode()
        self._connection: Connection | None = None

    async def request(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Answer:
        """Raises Unreachable and Unanswered; `key` is an Idempotency-Key."""
        if not (self._connection and self._connection.open):
            self._connection = await Connection.to(self._port)
        head = f"{method} /api/me{path}".encode() + self._headers
        if key is not None:
            head += f"idempotency-key: {key}\r\n".encode()
        if body is None:
            return await self._connection.request(head)
        return await self._connection.request(head + b"content-type: application/json\r\n", json.dumps(body).encode())

    def close(self) -> None:
        if self._connection:
            self._connection.close()

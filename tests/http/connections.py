"""A connection of the server's protocol without a socket: what comes is split exactly as a test says."""

import asyncio
import re
from collections.abc import Iterable
from typing import Any, cast

import uvicorn
from uvicorn.server import ServerState

from app.http.body import INTERRUPTION
from app.http.headers import first
from app.http.protocol import ProtocolFactory
from app.http.protocol.connection import Connection
from app.http.protocol.incoming import PIPELINED
from app.settings import Settings

Answer = tuple[int, str]
"""Status and body."""


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the method, the path, the header Authorization and the body, or as the server wants instead."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        if INTERRUPTION in scope["state"]:
            await respond(send, scope["state"][INTERRUPTION].status, b"interrupted")
            return
        body += message["body"]
        more = message["more_body"]
    authorization = first(scope, b"authorization")
    await respond(send, 200, b"%s %s %s %s" % (scope["method"].encode(), scope["raw_path"], authorization, body))


async def respond(send: Any, status: int, body: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Wire:
    """A transport whose client reads everything at once."""

    def __init__(self) -> None:
        self.sent = b""
        self.ended = False

    def write(self, data: bytes) -> None:
        if not self.ended:
            self.sent += data

    def writelines(self, parts: Iterable[bytes]) -> None:
        self.write(b"".join(parts))

    def close(self) -> None:
        self.ended = True

    write_eof = abort = close

    def is_closing(self) -> bool:
        return self.ended

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, _: str) -> None:
        return None

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def connect(settings: Settings) -> tuple[Connection, Wire]:
    config = uvicorn.Config(echo, log_config=None, lifespan="off", ws="none")
    connection = ProtocolFactory(settings)(config, ServerState(), {}, asyncio.get_running_loop())
    wire = Wire()
    connection.connection_made(cast("asyncio.Transport", wire))
    return connection, wire


async def converse(settings: Settings, *pieces: bytes) -> tuple[list[Answer], bool]:
    """Send the pieces one after the other; return the answers, and whether the connection has ended."""
    connection, wire = connect(settings)
    for piece in pieces:
        if not wire.ended:
            connection.data_received(piece)
            await asyncio.sleep(0)
    for _ in range(15 + 5 * min(b"".join(pieces).count(b"HTTP/1"), PIPELINED)):
        await asyncio.sleep(0)
    ended = wire.ended
    wire.ended = True
    connection.connection_lost(None)
    return list(answers(wire.sent)), ended


def answers(data: bytes) -> Iterable[Answer]:
    """Yield the answers in what the server has sent."""
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        [length] = re.findall(rb"content-length: (\d+)", head)
        yield int(head.split(b" ")[1]), rest[: int(length)].decode()
        data = rest[int(length) :]

"""A relay between the application and PostgreSQL: it counts what crosses the wire, and can delay, hold or cut it."""

import asyncio
import struct
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

SOCKET = ".s.PGSQL.5432"


async def message(reader: asyncio.StreamReader) -> bytes:
    """Return the next message of a client that has sent its startup message: a letter, the length, the rest."""
    head = await reader.readexactly(5)
    return head + await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)


async def startup_message(reader: asyncio.StreamReader) -> bytes:
    """Return the first message of a client, which has no letter."""
    length = await reader.readexactly(4)
    return length + await reader.readexactly(struct.unpack("!I", length)[0] - 4)


class Relay:
    """Counts by the frontend messages of the PostgreSQL protocol: Execute and Query run statements, Sync and Query are
    what a client waits for.

    While `flowing` is not set nothing passes, and a message with `hold_at` in it clears it; while `answering` is not,
    what the database says is kept; while `refusing`, no connection is taken.
    """

    def __init__(self, target: Path) -> None:
        self.statements = 0
        self.round_trips = 0
        self.connections = 0
        self.received = 0
        self.delay = 0.0
        """Seconds that each round trip takes longer, as if the database were that far away."""

        self.flowing = asyncio.Event()
        self.flowing.set()
        self.answering = asyncio.Event()
        self.answering.set()
        self.refusing = False
        self.refused = 0
        self.hold_at: bytes | None = None
        self.held = asyncio.Event()
        """Set once something of a client waits for `flowing`."""

        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()

    def reset(self) -> None:
        self.statements = self.round_trips = self.connections = 0

    @property
    def open(self) -> int:
        """How many connections lead through it, in either direction."""
        return len(self._writers)

    def cut(self) -> None:
        """Drop every connection, as a database that goes away does."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            self.refused += 1
            writer.transport.abort()
            return
        self.connections += 1
        upstream_reader, upstream_writer = await asyncio.open_unix_connection(str(self._target))
        self._writers |= {writer, upstream_writer}
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await asyncio.gather(self._forward(reader, upstream_writer), self._back(upstream_reader, writer))
        finally:
            self._writers -= {writer, upstream_writer}
            writer.transport.abort()
            upstream_writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await startup_message(reader))
        while True:
            sent = await message(reader)
            kind = sent[:1]
            self.statements += kind in {b"E", b"Q"}
            if kind in {b"S", b"Q"}:
                self.round_trips += 1
                if self.delay:
                    await asyncio.sleep(self.delay)
            if self.hold_at is not None and self.hold_at in sent:
                self.flowing.clear()
            if not self.flowing.is_set():
                self.held.set()
                await self.flowing.wait()
            if writer.transport.is_closing():
                raise ConnectionResetError
            writer.write(sent)

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.received += len(data)
            await self.flowing.wait()
            await self.answering.wait()
            writer.write(data)
        raise ConnectionResetError


@asynccontextmanager
async def relayed(database_url: str) -> AsyncIterator[tuple[Relay, str]]:
    """Yield a relay to the unix socket in `database_url`, and the URL that leads through it."""
    [folder] = parse_qs(urlsplit(database_url).query)["host"]
    relay = Relay(Path(folder) / SOCKET)
    with tempfile.TemporaryDirectory() as own:
        relaying = await asyncio.start_unix_server(relay.serve, Path(own) / SOCKET)
        try:
            yield relay, database_url.replace(quote(folder), own)
        finally:
            relaying.close()
            relay.cut()
            relay.flowing.set()
            relay.answering.set()
            while relay.open:
                await asyncio.sleep(0.001)

"""A client of one stream, on a socket of its own: reads events as they come, in a task, and keeps them."""

import asyncio
import contextlib
from urllib.parse import urlsplit

from app.auth.mint import mint
from app.settings import Settings
from tests.conftest import SENSITIVE

SECONDS = 30
HEAD = "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nAccept: text/event-stream\r\n\r\n"


class Stream:
    """What a server has sent on one connection, without the marks of the transfer coding."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.status = 0
        self.headers: dict[str, str] = {}
        self.text = ""
        self.ended = False
        self._news = asyncio.Condition()
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, address: str, token: str, path: str = "/api/me/events") -> "Stream":
        """Ask, and return once the head of the answer is there and, of a stream, that it has begun."""
        parts = urlsplit(address)
        self = cls(*await asyncio.open_connection(parts.hostname, parts.port))
        try:
            await self._begin(path, token)
        except BaseException:
            await self.close()
            raise
        return self

    async def _begin(self, path: str, token: str) -> None:
        self._writer.write(HEAD.format(path=path, token=token).encode())
        async with asyncio.timeout(SECONDS):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        self.status = int(head[0].split()[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-1])}
        self._reading = asyncio.create_task(self._read())
        if self.status == 200:
            await self.until("retry: ")

    async def _read(self) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            if "content-length" in self.headers:
                await self._add(await self._reader.readexactly(int(self.headers["content-length"])))
            else:
                while size := int(await self._reader.readline() or b"0", 16):
                    await self._add((await self._reader.readexactly(size + 2))[:-2])
        self.ended = True
        await self._add(b"")

    async def _add(self, data: bytes) -> None:
        async with self._news:
            self.text += data.decode()
            self._news.notify_all()

    @property
    def revisions(self) -> list[int]:
        """Every revision so far, in order; each event is a whole one."""
        events = [event.split("\n") for event in self.text.split("\n\n") if event.startswith("id: ")]
        for number, data in events:
            assert data == f'data: {{"revision": {number[4:]}}}'
        return [int(number[4:]) for number, _ in events]

    async def until(self, text: str, seconds: float = SECONDS) -> None:
        """Wait until this was sent."""
        await self._until(lambda: text in self.text, seconds)

    async def until_revision(self, revision: int, seconds: float = SECONDS) -> None:
        await self._until(lambda: revision in self.revisions[-1:], seconds)

    async def until_end(self, seconds: float = SECONDS) -> None:
        await self._until(lambda: self.ended, seconds)

    async def _until(self, reached: object, seconds: float) -> None:
        assert callable(reached)
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(reached)
        except TimeoutError:
            raise AssertionError(f"{self.status} {self.text!r}, ended: {self.ended}") from None

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


def token(settings: Settings, user_id: str, seconds: int = 3600) -> str:
    made = mint(settings, user_id, seconds)
    SENSITIVE.add(made)
    return made

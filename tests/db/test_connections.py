import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from app.db import url
from app.db.connections import Connections
from app.db.engine import KEEPALIVE, create_engine
from app.db.failures import FIRST_PAUSE, LONGEST_PAUSE, outlook, pause
from app.settings import Settings
from tests.wire import SOCKET


@asynccontextmanager
async def over_tcp(settings: Settings) -> AsyncIterator[Settings]:
    """The tests' database, which listens on a unix socket only, behind a port of the loopback."""
    [folder] = parse_qs(urlsplit(settings.database_url).query)["host"]

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = await asyncio.open_unix_connection(f"{folder}/{SOCKET}")
        await asyncio.gather(pipe(reader, upstream[1]), pipe(upstream[0], writer))

    server = await asyncio.start_server(serve, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    database = urlsplit(settings.database_url).path
    async with server:
        yield replace(settings, database_url=f"postgresql://postgres@127.0.0.1:{port}{database}?sslmode=disable")


async def test_the_kernel_looks_after_connections_over_tcp(settings: Settings) -> None:
    async with over_tcp(settings) as reachable:
        engine = create_engine(url.parse(reachable.database_url, connect_timeout=4), reachable)
        connections = Connections(engine, size=1, queue=0)
        with await connections.lease() as lease:
            connected = lease.driver._transport.get_extra_info("socket")  # noqa: SLF001 - as the engine finds it
            found = {name: connected.getsockopt(level, getattr(socket, name)) for name, (level, _) in KEEPALIVE.items()}
        assert found == {name: value for name, (_, value) in KEEPALIVE.items()}
        connections.close()
        await engine.dispose()


async def test_pauses_grow_with_jitter_up_to_half_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[float] = []

    async def sleep(seconds: float) -> None:
        taken.append(seconds)

    monkeypatch.setattr("app.db.failures.asyncio.sleep", sleep)
    for attempt in [*range(8), 1000]:
        await pause(attempt)
    assert len(set(taken)) == len(taken)
    assert 0 < taken[0] <= FIRST_PAUSE
    assert LONGEST_PAUSE / 2 <= taken[-1] <= LONGEST_PAUSE


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (ConnectionRefusedError(), True),
        (FileNotFoundError(), True),
        (TimeoutError(), True),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), True),
        (socket.gaierror(socket.EAI_NONAME, "unknown host"), False),
        (ValueError(), False),
    ],
)
def test_what_may_be_over_a_moment_later_is_tried_again(error: Exception, transient: bool) -> None:
    assert outlook(error).retry is transient

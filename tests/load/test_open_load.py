import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.load.bench import open_load
from tests.load.bench.wrk import Load

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REFUSED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"
LAST_CHUNK = b"0\r\n\r\n"

pytestmark = pytest.mark.usefixtures("tools")

Answer = Callable[[int, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Answers each request as `answer` does, which is told how many came before it."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.url = ""
        self.requests: list[bytes] = []
        self.arrivals: list[float] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
                self.requests.append(head + await reader.readexactly(length))
                self.arrivals.append(time.monotonic())
                await self._answer(len(self.requests) - 1, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[Server]:
    server = Server(answer)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        listening.close()


async def at_once(_: int, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)


async def load(server: Server, folder: Path, lines: str, rate: float, seconds: float, connections: int = 4) -> Load:
    plan = folder / "test.plan"
    plan.write_text(lines)
    return await open_load.run(server.url, plan, rate=rate, seconds=seconds, connections=connections)


async def test_requests_go_out_as_the_plan_has_them_and_over_and_over(tmp_path: Path) -> None:
    lines = 'GET\t/a?b=c\ttoken-1\t"7"\t\nPATCH\t/d\ttoken-2\t\t{"title": "é"}\n'
    async with serving(at_once) as server:
        await load(server, tmp_path, lines, rate=100, seconds=0.04, connections=1)
    first, second, third, fourth = server.requests
    host = server.url.removeprefix("http://")
    assert first.decode() == (
        f'GET /a?b=c HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer token-1\r\nIf-None-Match: "7"\r\n\r\n'
    )
    assert second.decode() == (
        f"PATCH /d HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer token-2\r\n"
        'Content-Type: application/json\r\nContent-Length: 15\r\n\r\n{"title": "é"}'
    )
    assert (third, fourth) == (first, second)


async def test_no_request_is_sent_before_it_is_due_and_none_is_left_out(tmp_path: Path) -> None:
    began = time.monotonic()
    async with serving(at_once) as server:
        found = await load(server, tmp_path, "GET\t/\tt\t\t\n", rate=200, seconds=0.5)
    assert (found.requests, found.errors) == (100, {})
    assert not [number for number, arrival in enumerate(server.arrivals) if arrival - began < number / 200]


async def test_latency_counts_from_the_moment_a_request_was_due_while_the_server_stood_still(tmp_path: Path) -> None:
    async def after_a_stall(number: int, writer: asyncio.StreamWriter) -> None:
        if number == 0:
            await asyncio.sleep(0.5)
        writer.write(OK)

    async with serving(after_a_stall) as server:
        found = await load(server, tmp_path, "GET\t/\tt\t\t\n", rate=100, seconds=0.5, connections=1)
    assert found.requests == 50
    assert found.p999 >= 500
    assert found.p50 >= 250  # half of the requests were due in the first half of the stall


async def test_an_answer_in_pieces_counts_when_its_last_piece_is_there(tmp_path: Path) -> None:
    async def in_pieces(_: int, writer: asyncio.StreamWriter) -> None:
        for piece in (CHUNKED[:20], CHUNKED[20:], LAST_CHUNK):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)

    async with serving(in_pieces) as server:
        found = await load(server, tmp_path, "GET\t/\tt\t\t\n", rate=20, seconds=0.2)
    assert (found.requests, found.errors) == (4, {})
    assert found.p50 >= 100


async def test_refusals_and_broken_connections_are_errors(tmp_path: Path) -> None:
    async def badly(number: int, writer: asyncio.StreamWriter) -> None:
        if number == 1:
            writer.close()
        else:
            writer.write(REFUSED if number == 0 else OK)

    async with serving(badly) as server:
        found = await load(server, tmp_path, "GET\t/\tt\t\t\n", rate=20, seconds=0.2, connections=2)
    assert found.errors == {"status": 1, "read": 1}
    assert found.requests == 3

"""Limits and deadlines over real sockets, on both event loops."""

import asyncio
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest

from app.auth.mint import mint
from app.settings import Settings
from tests.conftest import random_user
from tests.processes import until
from tests.servers import serving

SECONDS = 0.8
LATE = 1.5
"""Seconds by which a deadline may be missed: half a one by design, the rest on a busy machine."""

PATIENCE = 10
"""With a machine that is busier still; idle connections are kept for 75 seconds."""

LOOPS: list[Literal["auto", "asyncio"]] = ["auto", "asyncio"]
HEAD = b"POST /api/me/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
PIECE = b"x" * 1000
LONG = 9_000_000


@pytest.fixture(scope="module")
def strict(settings: Settings) -> Settings:
    return replace(
        settings,
        header_timeout=SECONDS,
        body_timeout=SECONDS,
        send_timeout=SECONDS,
        max_unsent_bytes=16 * 1024 * 1024,
    )


@pytest.fixture(scope="module", params=LOOPS)
def address(strict: Settings, request: pytest.FixtureRequest) -> Iterator[str]:
    with serving(strict, loop=request.param) as address:
        yield address


@pytest.fixture
def token(strict: Settings) -> bytes:
    return b"Authorization: Bearer %s\r\n" % mint(strict, random_user(), 3600).encode()


def connected(address: str) -> socket.socket:
    parts = urlsplit(address)
    assert parts.hostname is not None
    return socket.create_connection((parts.hostname, parts.port or 80), timeout=30)


def read(client: socket.socket) -> bytes:
    """Read until the server ends the connection."""
    received = b""
    try:
        while part := client.recv(65536):
            received += part
    except ConnectionResetError:
        pass
    return received


def exchange(address: str, data: bytes) -> bytes:
    with closing(connected(address)) as client:
        client.sendall(data)
        return read(client)


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400, "bad_request"),
        (b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 9000), 414, "uri_too_long"),
        (HEALTH[:-2] + b"A: %s\r\n\r\n" % (b"a" * 20_000), 431, "request_header_fields_too_large"),
        (HEALTH[:-2], 408, "request_timeout"),
    ],
)
def test_the_server_itself_answers_as_the_application_does(
    address: str, data: bytes, status: int, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    head, _, body = exchange(address, data).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    problem = json.loads(body)
    assert first.startswith(f"HTTP/1.1 {status} ")
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["request_id"] == headers["x-request-id"]
    assert headers["content-type"] == "application/problem+json"
    assert headers["content-length"] == str(len(body))
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["connection"] == "close"
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", headers["date"])
    [line] = [json.loads(line) for line in capsys.readouterr().out.splitlines() if headers["x-request-id"] in line]
    assert (line["status"], line["code"], line["event"], line["route"]) == (status, code, "request", None)


def test_a_body_that_comes_too_late_is_408_to_its_route(
    address: str, token: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    for framing in (b"Content-Length: 100\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n64\r\n"):
        started = time.monotonic()
        with closing(connected(address)) as client:
            client.sendall(HEAD + token + framing)
            while time.monotonic() < started + SECONDS - 0.3:
                client.sendall(b" ")
                time.sleep(0.1)
            head, _, body = read(client).partition(b"\r\n\r\n")
        assert SECONDS - 0.1 < time.monotonic() - started < SECONDS + PATIENCE
        assert json.loads(body)["code"] == "request_timeout"
        assert b"connection: close" in head
        [line] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert (line["status"], line["code"], line["route"]) == (408, "request_timeout", "/api/{user_id}/tasks")


def test_a_body_that_breaks_off_its_framing_is_400_to_its_route(address: str, token: bytes) -> None:
    received = exchange(address, HEAD + token + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\nx\r\n")
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.count(b"HTTP/1.1") == 1


def test_a_silent_client_is_left_without_a_word(address: str) -> None:
    for data in (b"", b"\r\n"):
        started = time.monotonic()
        assert exchange(address, data) == b""
        assert SECONDS - 0.1 < time.monotonic() - started < SECONDS + PATIENCE


def test_an_idle_connection_may_be_silent_for_longer(address: str) -> None:
    with closing(connected(address)) as client:
        client.sendall(HEALTH)
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        time.sleep(SECONDS + 1.2)
        client.sendall(HEALTH)
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_an_upgrade_is_ignored_and_its_body_read(address: str, token: bytes) -> None:
    body = b'{"title": "GET /smuggled HTTP/1.1"}'
    upgrade = b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: %d\r\n\r\n" % len(body)
    request = HEAD + token + upgrade + body
    with closing(connected(address)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for pieces in ([request], [request[place : place + 1] for place in range(len(request))]):
            for piece in pieces:
                client.sendall(piece)
            answer = client.recv(65536)
            assert answer.startswith(b"HTTP/1.1 201 ")
            assert b"GET /smuggled" in answer
        client.sendall(HEALTH[:-2] + b"Connection: close\r\n\r\n")
        assert read(client).startswith(b"HTTP/1.1 200 ")


def test_hostile_clients_do_not_fill_the_log(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(100):
        exchange(address, b"\r\nrubbish\r\n\r\n")
    printed = ""

    def refused_and_counted() -> tuple[int, int]:
        nonlocal printed
        printed += capsys.readouterr().out
        lines = [json.loads(line) for line in printed.splitlines()]
        counted = sum(line["connections"] for line in lines if line["event"] == "connections ended")
        return sum(line["event"] == "request" for line in lines), counted

    until(lambda: sum(refused_and_counted()) >= 100)  # the last of them are counted a moment later
    refused, counted = refused_and_counted()
    assert 10 <= refused < 80
    assert refused + counted == 100


async def answers(scope: Any, _: Any, send: Any) -> None:
    """Answer a long body at once on `/long`, and on other paths a stream that has little to say."""
    assert scope["type"] == "http"
    if scope["path"] == "/long":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % LONG)]})
        await send({"type": "http.response.body", "body": bytes(LONG)})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(int(4 * SECONDS / 0.1)):
        await send({"type": "http.response.body", "body": b".", "more_body": True})
        await asyncio.sleep(0.1)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


@pytest.fixture(params=LOOPS)
def answering(strict: Settings, request: pytest.FixtureRequest) -> Iterator[str]:
    with serving(strict, app=answers, loop=request.param) as address:
        yield address


def long(address: str) -> socket.socket:
    client = connected(address)
    client.sendall(b"GET /long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    return client


def body_length(client: socket.socket, pause: Callable[[], None] = lambda: None) -> int:
    received = 0
    while part := client.recv(200_000):
        received += len(part)
        pause()
    return received


def test_a_stream_that_says_little_and_a_slow_reader_are_served_to_the_end(answering: str) -> None:
    stream = connected(answering)
    stream.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    with closing(long(answering)) as slow:
        started = time.monotonic()
        assert body_length(slow, lambda: time.sleep(0.04)) > LONG
        assert time.monotonic() - started > SECONDS
    with closing(stream):
        assert read(stream).endswith(b"0\r\n\r\n")


def test_the_slowest_readers_are_cut_off_first(answering: str) -> None:
    idle = [long(answering) for _ in range(12)]
    with closing(long(answering)) as reading:
        assert body_length(reading) > LONG
    time.sleep(SECONDS + 2 * LATE)
    for client in idle:
        with closing(client):
            assert len(read(client)) < LONG

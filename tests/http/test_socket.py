"""What only a real server over a real socket shows; elsewhere the tests call the application itself."""

import json
import socket
from collections.abc import Callable, Iterator
from email.message import Message
from http.client import parse_headers
from urllib.parse import urlsplit

import pytest
from litestar.routes import HTTPRoute

from app.asgi import create_app
from app.auth.mint import mint
from app.docs import assets
from app.settings import Settings
from tests.conftest import STREAM, random_user
from tests.processes import Server, copied_project

SECONDS = 30


class Connection:
    """A connection on which requests can be sent before earlier ones are answered."""

    def __init__(self, address: str, token: str) -> None:
        parts = urlsplit(address)
        assert parts.hostname is not None
        self._socket = socket.create_connection((parts.hostname, parts.port or 80), timeout=SECONDS)
        self._head = f"Host: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"
        self._incoming = self._socket.makefile("rb")

    def send(self, *requests: tuple[str, str]) -> None:
        self._socket.sendall(
            b"".join(f"{method} {path} HTTP/1.1\r\n{self._head}\r\n".encode() for method, path in requests)
        )

    def answer(self, method: str) -> tuple[int, Message, bytes]:
        """Read the next answer, to a request with this method."""
        _, status, _ = self._incoming.readline().split(b" ", 2)
        headers = parse_headers(self._incoming)
        return int(status), headers, b"" if method == "HEAD" else self._incoming.read(int(headers["content-length"]))

    def close(self) -> None:
        self._incoming.close()
        self._socket.close()


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Server]:
    with copied_project() as folder:
        yield Server(
            folder,
            DATABASE_URL=settings.database_url,
            BETTER_AUTH_SECRET=settings.better_auth_secret,
            LOG_FORMAT="json",
            SLOW_QUERY_MS="0",
            STRICT_TRANSPORT_SECURITY="31536000",
        ).serving()


@pytest.fixture
def connect(server: Server, settings: Settings) -> Iterator[Callable[[], Connection]]:
    opened: list[Connection] = []

    def connect() -> Connection:
        opened.append(Connection(server.url, mint(settings, random_user(), 3600)))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


def get_paths(settings: Settings) -> list[str]:
    """A path for every route that answers GET."""
    return sorted(
        route.path_format.format(user_id="me", task_id="1", of=assets.version(), name="page.css", path="nothing")
        for route in create_app(settings).routes
        if isinstance(route, HTTPRoute) and "GET" in route.methods and route.path_format != STREAM
    )


def test_head_is_answered_without_a_body_and_leaves_the_connection_for_the_next_request(
    settings: Settings, server: Server, connect: Callable[[], Connection]
) -> None:
    paths = get_paths(settings)
    assert len(paths) >= 10
    for path in paths:
        connection = connect()
        connection.send(("HEAD", path), ("GET", path))
        status, headers, _ = connection.answer("HEAD")
        full_status, full_headers, body = connection.answer("GET")
        assert (status, headers["content-length"]) == (full_status, full_headers["content-length"]), path
        assert len(body) == int(headers["content-length"]) > 0
        connection.send(("GET", "/health"))
        assert connection.answer("GET")[0] == 200
    levels = {json.loads(line)["level"] for line in server.output.splitlines()}
    assert levels == {"info"}


def test_every_answer_on_one_connection_belongs_to_its_request(connect: Callable[[], Connection]) -> None:
    connection = connect()
    requests: list[tuple[str, str]] = [
        ("HEAD", "/api/me/tasks"),
        ("GET", "/nowhere"),
        ("HEAD", "/"),
        ("GET", "/health"),
    ]
    connection.send(*requests * 5)
    statuses: list[int] = [connection.answer(method)[0] for method, _ in requests * 5]
    assert statuses == [200, 404, 200, 200] * 5


def test_strict_transport_security_is_in_every_answer(connect: Callable[[], Connection]) -> None:
    connection = connect()
    for method, path in [("GET", "/health"), ("GET", "/docs"), ("GET", "/nowhere"), ("HEAD", "/"), ("BREW", "/")]:
        connection.send((method, path))
        status, headers, _ = connection.answer(method)
        assert headers["strict-transport-security"] == "max-age=31536000", (path, status)
        if headers["connection"] == "close":
            connection = connect()

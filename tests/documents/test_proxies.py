"""The proxies of docs/security.md, real ones before a real server: what clients send and get passes unharmed."""

import re
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from app.auth.mint import mint
from app.db import migrations
from app.settings import Settings
from tests.conftest import SENSITIVE, random_user
from tests.documents.proxies import BODY_SECONDS, HOST, PROXIES, check, program, proxy
from tests.processes import Server, copied_project, free_port

TASKS = "/api/me/tasks"
PEER = "127.0.0.1"


class Front:
    """A proxy that clients at any address of the loopback reach under its public name."""

    def __init__(self, settings: Settings, process: int, port: int, authority: str) -> None:
        self._settings = settings
        self.process = process
        self.port = port
        self.context = ssl.create_default_context(cadata=authority)

    def client(self, address: str = PEER) -> httpx.Client:
        """Speak for a new user."""
        token = mint(self._settings, random_user(), 600)
        SENSITIVE.add(token)
        return httpx.Client(
            transport=Named(verify=self.context, local_address=address),
            base_url=f"https://{PEER}:{self.port}",
            headers={"Host": HOST, "Authorization": f"Bearer {token}"},
        )

    def connect(self) -> socket.socket:
        return socket.create_connection((PEER, self.port), timeout=30)

    def send(self, data: bytes, *, encrypted: bool = True) -> bytes:
        """Send bytes, and read until the proxy ends the connection or says a whole head."""
        with self.connect() as plain:
            connection = self.context.wrap_socket(plain, server_hostname=HOST) if encrypted else plain
            with connection:
                connection.sendall(data)
                received = b""
                while b"\r\n\r\n" not in received and (piece := connection.recv(65536)):
                    received += piece
                return received


class Named(httpx.HTTPTransport):
    """Asks for the name of the proxy, wherever it listens."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions["sni_hostname"] = HOST
        return super().handle_request(request)


@pytest.fixture(params=PROXIES)
def name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if not program(name):
        pytest.skip(f"needs {name}: Debian's packages caddy and nginx-light")
    return name


@pytest.fixture(scope="module")
def service(create_database: Callable[[], str], settings: Settings) -> Iterator[tuple[str, Settings]]:
    """A server that believes the proxy on its own machine, and lets refused tokens wait soon."""
    given = replace(settings, database_url=create_database())
    migrations.upgrade(given)
    with copied_project() as folder:
        server = Server(
            folder,
            port=free_port(),
            DATABASE_URL=given.database_url,
            BETTER_AUTH_SECRET=given.better_auth_secret,
            BODY_TIMEOUT=str(BODY_SECONDS),
            RATE_LIMIT_WRITES="5/hour",
            RATE_LIMIT_FAILED_AUTH="2/hour",
            TRUSTED_PROXIES=PEER,
        ).serving()
        yield server.url.removeprefix("http://"), given
        server.close()


@pytest.fixture
def front(name: str, service: tuple[str, Settings], tmp_path: Path) -> Iterator[Front]:
    address, settings = service
    with proxy(name, program(name) or name, tmp_path, address) as (process, port, authority):
        yield Front(settings, process, port, authority)


def test_the_example_is_one_that_the_proxy_takes(name: str, tmp_path: Path) -> None:
    done = check(name, program(name) or name, tmp_path)
    assert done.returncode == 0, done.stderr


def test_tasks_and_validators_pass(front: Front) -> None:
    with front.client() as client:
        created = client.post(TASKS, json={"title": "Milk & <eggs>"})
        assert created.status_code == 201
        task = client.get(created.headers["Location"])
        assert task.json() == created.json()
        assert (
            client.get(created.headers["Location"], headers={"If-None-Match": task.headers["ETag"]}).status_code == 304
        )
        listed = client.get(TASKS)
        again = client.get(TASKS, headers={"If-None-Match": listed.headers["ETag"]})
        assert (again.status_code, again.headers["ETag"]) == (304, listed.headers["ETag"])
        stale = client.patch(created.headers["Location"], json={"title": "No"}, headers={"If-Match": '"1"'})
        assert (stale.status_code, stale.json()["code"]) == (412, "stale_revision")
        assert listed.headers.get_list("Strict-Transport-Security") == ["max-age=31536000"]
        assert not re.search(r"\d", created.headers.get("Server", ""))


def test_refusals_are_those_of_the_service(front: Front) -> None:
    with front.client() as client:
        long = client.post(TASKS, json={"title": "x" * 70_000})
        assert (long.status_code, long.json()["code"]) == (413, "payload_too_large")
        created = [client.post(TASKS, json={"title": "Milk"}) for _ in range(6)]
        assert {answer.status_code for answer in created} == {201, 429}
        assert int(created[-1].headers["Retry-After"]) > 0
        assert created[-1].json()["code"] == "too_many_requests"
    with front.client() as client:
        authorization = client.headers["Authorization"]
    head = (
        f"POST {TASKS} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: {authorization}\r\nContent-Type: application/json\r\n"
    )
    late = front.send(head.encode() + b"Content-Length: 100\r\n\r\n{")
    assert late.startswith(b"HTTP/1.1 408 ")


def test_each_client_has_its_own_count_and_cannot_choose_its_address(front: Front, name: str) -> None:
    bad, other = (f"127.{number}.0.{ord(name[0])}" for number in (1, 2))
    invented = [
        {"X-Forwarded-For": "198.51.100.1"},
        {"Forwarded": "for=198.51.100.2"},
        {"X-Forwarded-For": "127.0.0.1"},
    ]
    with front.client(bad) as client:
        refused = [client.get(TASKS, headers={"Authorization": "Bearer a.b.c", **header}) for header in invented]
        assert [answer.status_code for answer in refused] == [401, 401, 429]
        assert client.get(TASKS).status_code == 200
    with front.client(other) as client:
        assert client.get(TASKS, headers={"Authorization": "Bearer a.b.c"}).status_code == 401


def test_events_pass_as_they_come(front: Front) -> None:
    with front.client() as client, client.stream("GET", "/api/me/events") as stream:
        assert stream.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        pieces = stream.iter_text()
        assert re.fullmatch(r"retry: \d+\n\n", next(pieces))
        for title in ("Milk", "Eggs"):  # the second one only if the first has not waited for more
            revision = client.post(TASKS, json={"title": title}).json()["revision"]
            assert next(pieces) == f'id: {revision}\ndata: {{"revision": {revision}}}\n\n'


def test_an_upgrade_changes_nothing(front: Front) -> None:
    with front.client() as client:
        upgrade = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__"}
        assert client.post(TASKS, json={"title": "Milk"}, headers=upgrade).status_code == 201
        assert [task["title"] for task in client.get(TASKS).json()] == ["Milk"]


def test_tls_is_new_enough(front: Front) -> None:
    front.context.set_ciphers("DEFAULT@SECLEVEL=0")  # or this side would refuse it
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        front.context.minimum_version = front.context.maximum_version = ssl.TLSVersion.TLSv1_1
    with front.connect() as plain, pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
        front.context.wrap_socket(plain, server_hostname=HOST)


def test_plain_http_reaches_nothing(front: Front) -> None:
    answer = front.send(f"GET {TASKS} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode(), encrypted=False)
    assert re.match(rb"HTTP/1\.[01] 400 ", answer)
    assert b"location" not in answer.lower()
    listening = psutil.Process(front.process).net_connections("tcp")
    assert {one.laddr.port for one in listening if one.status == psutil.CONN_LISTEN} == {front.port}

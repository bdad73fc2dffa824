"""`--host ::` is every address of the machine, of both families, however many processes serve."""

import errno
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from app import listening
from tests.processes import Server, copied_project, free_port

SECRET = "kq3Jf0sK2mZ8vB1xW7tR5yN4pL6dH9cE"
NOBODY = "postgresql://nobody@127.0.0.1:1/tasks"  # asked by no probe


def has_ipv6() -> bool:
    with suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="needs a loopback interface with IPv6")


@pytest.fixture
def folder() -> Iterator[Path]:
    with copied_project() as folder:
        yield folder


@needs_ipv6
@pytest.mark.parametrize(("workers", "options"), [(1, []), (2, []), (1, ["--reload"])])
def test_both_families_reach_a_server_that_listens_everywhere(folder: Path, workers: int, options: list[str]) -> None:
    options = ["--host", "::", *options]
    server = Server(folder, workers=workers, options=options, DATABASE_URL=NOBODY, BETTER_AUTH_SECRET=SECRET).serving()
    for address in ("127.0.0.1", "[::1]"):
        answer = httpx.get(f"http://{address}:{server.port}/health")
        assert answer.json() == {"status": "healthy"}
    assert server.terminate() in {0, -15}


@pytest.mark.parametrize("family", [socket.AF_INET, pytest.param(socket.AF_INET6, marks=needs_ipv6)])
def test_port_that_is_taken_in_either_family_is_one_sentence(family: socket.AddressFamily) -> None:
    with socket.create_server(("", 0), family=family) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit, match=f"Port {port} is already in use"):
            listening.require_free("::", port)


def test_machine_without_ipv6_listens_everywhere_in_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    class WithoutIpv6(socket.socket):
        def __init__(self, family: int = socket.AF_INET) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family)

    monkeypatch.setattr(socket, "socket", WithoutIpv6)
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    listening.require_free("::", free_port())
    assert listening.host_for_uvicorn("::", shared=True) == "0.0.0.0"  # noqa: S104 - nothing listens
    with pytest.raises(SystemExit, match="Cannot listen on ::1"):
        listening.require_free("::1", free_port())


def test_looking_whether_a_port_is_free_lets_nobody_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "listen", pytest.fail)
    listening.require_free("127.0.0.1", free_port())


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "box.local"])  # noqa: S104 - nothing listens
@pytest.mark.parametrize("shared", [False, True])
def test_every_other_host_is_left_as_it_is(host: str, shared: bool) -> None:
    assert listening.host_for_uvicorn(host, shared=shared) == host

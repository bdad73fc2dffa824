"""Limits where clients meet them: at a real server, on connections of their own."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import uvicorn

from app.asgi import create_app
from app.auth.mint import mint
from app.http.protocol import ProtocolFactory
from app.quotas import Limit
from app.settings import Settings
from tests.conftest import SENSITIVE, random_user
from tests.servers import Server, serving

TASKS = "/api/me/tasks"


@pytest.fixture
def few(settings: Settings) -> Settings:
    return replace(settings, rate_limit=Limit(3, 3600), rate_limit_failed_auth=Limit(2, 3600))


def statuses(client: httpx.Client, times: int, **headers: str) -> list[int]:
    return [client.get(TASKS, headers=headers).status_code for _ in range(times)]


def token(settings: Settings) -> dict[str, str]:
    token = mint(settings, random_user(), 600)
    SENSITIVE.add(token)
    return {"Authorization": f"Bearer {token}"}


def test_users_are_limited_one_by_one_and_kept_connections_go_on(few: Settings) -> None:
    with serving(few) as address, httpx.Client(base_url=address) as client:
        ada, bob = token(few), token(few)
        assert statuses(client, 5, **ada) == [200] * 3 + [429] * 2
        assert statuses(client, 1, **bob) == [200]
        refused = client.post(TASKS, headers=ada, json={"title": "x" * 50_000})
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
        assert int(refused.headers["retry-after"]) > 0
        assert statuses(client, 1, **bob) == [200]


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1"])
def test_a_client_cannot_choose_its_address(few: Settings, peer: str) -> None:
    with serving(few, host=peer) as address, httpx.Client(base_url=address) as client:
        for number in range(2):
            assert statuses(client, 1, **{"X-Forwarded-For": f"6.6.6.{number}"}) == [401]
        assert statuses(client, 1, Forwarded="for=6.6.6.7") == [429]
        assert statuses(client, 1, **token(few)) == [200]


def test_behind_a_trusted_proxy_each_client_has_its_own_count(few: Settings) -> None:
    with serving(replace(few, trusted_proxies=("127.0.0.0/8",))) as address, httpx.Client(base_url=address) as proxy:
        for client in ("198.51.100.1", "198.51.100.2", "2001:db8::1"):
            assert statuses(proxy, 3, **{"X-Forwarded-For": f"6.6.6.6, {client}"}) == [401, 401, 429]
        assert statuses(proxy, 1, **{"X-Forwarded-For": "2001:db8::2"}) == [429]


@contextmanager
def serving_unix(settings: Settings, path: Path) -> Iterator[httpx.Client]:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        config = uvicorn.Config(
            create_app(settings),
            http=cast("Any", ProtocolFactory(settings)),
            log_config=None,
            access_log=False,
            proxy_headers=False,
        )
        server = Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            server.ready.wait()
            with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://localhost") as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


def test_a_proxy_on_a_unix_socket_is_believed_where_the_setting_says_so(few: Settings, tmp_path: Path) -> None:
    clients = [{"X-Forwarded-For": f"198.51.100.{number}"} for number in range(3)]
    with serving_unix(replace(few, trusted_proxies=("unix",)), tmp_path / "a") as proxy:
        assert [statuses(proxy, 1, **client) for client in clients] == [[401]] * 3
    with serving_unix(few, tmp_path / "b") as proxy:
        assert [statuses(proxy, 1, **client) for client in clients] == [[401], [401], [429]]

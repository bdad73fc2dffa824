import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from queue import Queue
from types import SimpleNamespace
from typing import Any

import click
import httpx
import jwt
import pytest
import uvicorn
from click.testing import CliRunner, Result
from litestar import Litestar

from app import asgi, server, workers
from app.cli import Commands
from app.development import postgres
from app.settings import Settings, get_settings
from tests.conftest import random_user


@pytest.fixture
def run(settings: Settings) -> Callable[..., Result]:
    """Run one of our commands in this process."""
    return run_with(settings)


def run_with(settings: Settings) -> Callable[..., Result]:
    cli = click.Group()
    Commands(settings).on_cli_init(cli)
    return lambda *arguments: CliRunner().invoke(cli, arguments)


async def test_token_is_accepted(run: Callable[..., Result], anonymous: httpx.AsyncClient) -> None:
    user_id = random_user()
    printed = run("token", "--user", user_id)
    assert printed.exit_code == 0
    headers = {"Authorization": f"Bearer {printed.stdout.strip()}"}
    assert (await anonymous.get(f"/api/{user_id}/tasks", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("arguments", "seconds"),
    [
        ([], 3600),
        (["--expires", "30s"], 30),
        (["--expires", "15m"], 900),
        (["--expires", "7d"], 7 * 86400),
        (["--expires", "2w"], 14 * 86400),
    ],
)
def test_token_is_valid_for_as_long_as_asked(run: Callable[..., Result], arguments: list[str], seconds: int) -> None:
    printed = run("token", "--user", "somebody", *arguments).stdout.strip()
    claims = jwt.decode(printed, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == seconds


@pytest.mark.parametrize(
    "expires",
    [
        "",
        "0s",
        "-1h",
        "1",
        "h",
        "1.5h",
        "1y",
        "1h30m",
        "1h ",
        "1h\n",
        "9999999d",
        "999999w",
        "\N{ARABIC-INDIC DIGIT ONE}h",
    ],
)
def test_unclear_duration_is_refused(run: Callable[..., Result], expires: str) -> None:
    refused = run("token", "--user", "somebody", "--expires", expires)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "it has to " in refused.stderr


@pytest.mark.parametrize("user", ["", "a b", "a/b", "me\n", "ä", "a" * 129, "a.b", "a\x00"])
def test_user_that_cannot_exist_is_refused(run: Callable[..., Result], user: str) -> None:
    refused = run("token", "--user", user)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "at most 128" in refused.stderr


def test_token_without_a_user_is_a_usage_error(run: Callable[..., Result]) -> None:
    refused = run("token")
    assert refused.exit_code == 2
    assert "--user" in refused.stderr


@pytest.mark.parametrize("option", [("--port", "0"), ("--port", "65536"), ("--port", "web"), ("--wc", "0")])
def test_run_refuses_what_it_cannot_listen_with(run: Callable[..., Result], option: tuple[str, str]) -> None:
    refused = run("run", *option)
    assert refused.exit_code == 2
    assert option[0] in refused.stderr


class TestRun:
    """`litestar run` with a uvicorn that only takes notes; test_start.py runs the real one."""

    @pytest.fixture(autouse=True)
    def _handlers(self) -> Iterator[None]:
        kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
        yield
        for number, handler in kept.items():
            signal.signal(number, handler)

    @pytest.fixture
    def noted(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        noted: dict[str, Any] = {}
        for runner in (uvicorn, workers):
            monkeypatch.setattr(runner, "run", lambda app, **options: noted.update(options, app=app))
        return noted

    def test_production_starts_nothing_but_uvicorn(self, run: Callable[..., Result], noted: dict[str, Any]) -> None:
        ran = run("run", "--host", "0.0.0.0", "--port", "8123", "--wc", "3")  # noqa: S104 - nothing listens
        assert (ran.exit_code, ran.output) == (0, "")
        assert (noted["host"], noted["port"], noted["workers"]) == ("0.0.0.0", 8123, 3)  # noqa: S104 - the same
        assert noted["server_header"] is False
        assert noted["access_log"] is False

    @pytest.mark.parametrize(
        ("host", "address"),
        [
            ("127.0.0.1", "http://127.0.0.1:8123"),
            ("0.0.0.0", "http://127.0.0.1:8123"),  # noqa: S104 - nothing listens
            ("::", "http://127.0.0.1:8123"),
            ("::1", "http://[::1]:8123"),
            ("box.local", "http://box.local:8123"),
        ],
    )
    def test_development_says_how_to_use_what_it_serves(
        self,
        settings: Settings,
        noted: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        host: str,
        address: str,
    ) -> None:
        monkeypatch.setattr(postgres, "running", nullcontext)
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])  # no resolver knows box.local
        server.run(replace(settings, development=True), host=host, port=8123)
        assert noted["port"] == 8123
        printed = capsys.readouterr().out
        assert f"{address}/docs " in printed
        assert re.search(rf"curl -H 'Authorization: Bearer [\w.-]+' {re.escape(address)}/api/me/tasks\n", printed)

    @pytest.mark.parametrize("development", [True, False])
    def test_port_that_is_taken_is_one_sentence_before_anything_starts(
        self, settings: Settings, noted: dict[str, Any], monkeypatch: pytest.MonkeyPatch, development: bool
    ) -> None:
        monkeypatch.setattr(postgres, "running", pytest.fail)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            ran = run_with(replace(settings, development=development))("run", "--port", str(port))
        assert (ran.exit_code, noted) == (1, {})
        assert ran.output == f"Port {port} is already in use; stop what listens there, or choose another --port.\n"

    def test_host_that_is_not_this_machine_is_one_sentence_too(self, run: Callable[..., Result]) -> None:
        ran = run("run", "--host", "192.0.2.1")  # reserved for documentation (RFC 5737)
        assert ran.exit_code == 1
        assert re.fullmatch(r"Cannot listen on 192\.0\.2\.1, port 8000: .*\n", ran.output)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_signal_before_uvicorn_listens_to_them_still_cleans_up(
        self, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
    ) -> None:
        left = []

        @contextmanager
        def running() -> Iterator[None]:
            try:
                signal.raise_signal(number)
                yield
            finally:
                left.append(number)

        monkeypatch.setattr(postgres, "running", running)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever these tests run under
        with pytest.raises(SystemExit) as ended:
            server.run(Settings(database_url="", development=True), host="127.0.0.1", port=8123)
        assert not ended.value.code
        assert left == [number]

    @pytest.mark.usefixtures("noted")
    def test_server_under_nohup_outlives_its_terminal(self, settings: Settings) -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        server.run(settings, host="127.0.0.1", port=8123)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


class TestWorker:
    @pytest.fixture(autouse=True)
    def _production(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATABASE_URL", settings.database_url)
        monkeypatch.setenv("BETTER_AUTH_SECRET", settings.better_auth_secret)
        get_settings.cache_clear()

    def test_single_process_has_no_parent_to_follow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(threading, "Thread", pytest.fail)
        assert isinstance(asgi.worker(), Litestar)

    def test_worker_asks_itself_to_end_when_its_parent_has(self, monkeypatch: pytest.MonkeyPatch) -> None:
        parent_ends = threading.Event()
        sent: Queue[tuple[int, int]] = Queue()
        monkeypatch.setattr(asgi, "parent_process", lambda: SimpleNamespace(join=parent_ends.wait))
        monkeypatch.setattr(os, "kill", lambda *arguments: sent.put(arguments))
        assert isinstance(asgi.worker(), Litestar)
        assert sent.empty()
        parent_ends.set()
        assert sent.get(timeout=30) == (os.getpid(), signal.SIGTERM)

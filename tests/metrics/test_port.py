"""METRICS_PORT: one sentence where it cannot be, and nothing at all where nobody asks for it."""

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from app.metrics import directory
from app.metrics.port import answering
from app.settings import Settings, SettingsError, get_settings
from tests.metrics.scrapes import Scrape
from tests.processes import command, copied_project, environment, free_port
from tests.test_listening import needs_ipv6

SECRET = "kq3Jf0sK2mZ8vB1xW7tR5yN4pL6dH9cE"
PRODUCTION = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/tasks", "BETTER_AUTH_SECRET": SECRET}

OFF = """
import sys, threading
import psutil, uvicorn
from app import server
from app.asgi import worker
from app.settings import get_settings

uvicorn.run = lambda *_, **__: worker()
options = {"reload": False, "workers": 1, "host": "127.0.0.1", "port": %d}
server.run(get_settings(), **options)
assert not [name for name in sys.modules if name.startswith("prometheus_client")]
assert threading.active_count() == 1
assert not [one for one in psutil.Process().net_connections() if one.status == psutil.CONN_LISTEN]
"""


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back what the service tells its workers."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    get_settings.cache_clear()


def test_without_a_port_the_library_is_not_imported_and_nothing_listens_or_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", OFF % free_port()],
        env=environment(**PRODUCTION),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_port_that_is_taken_stops_the_start_with_one_sentence() -> None:
    with copied_project() as folder, socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        options = ("--port", str(free_port()), "--wc", "2")
        ran = command(folder, "litestar", "run", *options, METRICS_PORT=port, **PRODUCTION)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == f"METRICS_PORT {port} is already in use; stop what listens there, or choose another.\n"


def test_port_of_the_api_is_refused(settings: Settings) -> None:
    with (
        pytest.raises(SystemExit, match=r"^METRICS_PORT is 8000, the port of the API; choose another\.$"),
        answering(replace(settings, metrics_port=8000), 8000),
    ):
        pass


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid"])
def test_address_that_is_not_ours_is_one_sentence(settings: Settings, host: str) -> None:
    away = replace(settings, metrics_port=free_port(), metrics_host=host)
    with (
        pytest.raises(SystemExit, match=f"^Cannot listen on METRICS_HOST {host}, METRICS_PORT "),
        answering(away, 8000),
    ):
        pass


@pytest.mark.parametrize("address", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
def test_both_families_reach_metrics_everywhere(settings: Settings, address: str) -> None:
    port = free_port()
    with answering(replace(settings, metrics_port=port, metrics_host="::"), 8000):
        socket.create_connection((address, port)).close()


def test_machine_without_ipv6_has_metrics_everywhere_in_ipv4(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    port = free_port()
    with answering(replace(settings, metrics_port=port, metrics_host="::"), 8000):
        assert "tasks_build_info" in Scrape.of(port).names()


def test_two_services_cannot_share_a_folder(settings: Settings, tmp_path: Path) -> None:
    def service() -> Settings:
        return replace(settings, metrics_port=free_port(), prometheus_multiproc_dir=str(tmp_path))

    refused = pytest.raises(SystemExit, match=r"^PROMETHEUS_MULTIPROC_DIR cannot be used: ")
    with answering(service(), 8000), refused, answering(service(), 8001):
        pass


def test_folder_that_is_not_there_is_one_sentence(settings: Settings, tmp_path: Path) -> None:
    away = replace(settings, metrics_port=free_port(), prometheus_multiproc_dir=str(tmp_path / "none"))
    refused = pytest.raises(SystemExit, match=r"^PROMETHEUS_MULTIPROC_DIR cannot be used: No such file or directory\.$")
    with refused, answering(away, 8000):
        pass


@pytest.mark.parametrize("text", ["0", "65536", "many"])
def test_number_that_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^METRICS_PORT is not usable"):
        Settings.from_env({**PRODUCTION, "METRICS_PORT": text})


def test_workers_are_told_of_a_folder_that_lasts_as_long_as_the_service(settings: Settings) -> None:
    port = free_port()
    with answering(replace(settings, metrics_port=port), 8000):
        folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        assert folder.stat().st_mode & 0o077 == 0
        assert "tasks_build_info" in Scrape.of(port).names()
    assert not folder.exists()
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) != 0


def test_folder_of_a_killed_service_is_taken_away_by_the_next_and_one_in_use_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(directory, "MEMORY", tmp_path)
    left = tmp_path / f"{directory.PREFIX}left"
    left.mkdir()
    (left / directory.LOCK).touch()
    (left / "counter_1-1.db").touch()
    with directory.folder(None) as first, directory.folder(None) as second:
        assert {*tmp_path.iterdir()} == {first, second}
    assert not [*tmp_path.iterdir()]


def test_without_memory_for_files_the_folder_is_a_temporary_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(directory, "MEMORY", tmp_path / "none")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    with directory.folder(None) as folder:
        assert folder.parent == tmp_path

import asyncio
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from app.development import postgres
from tests.processes import processes_in, until


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A stopped server's folder, with a space in its path."""
    outer = Path(tempfile.mkdtemp(prefix="pg")).resolve()
    folder = outer / "a folder"
    with postgres.running(folder) as url:
        execute(url, "CREATE TABLE kept (number int); INSERT INTO kept VALUES (42)")
    yield folder
    shutil.rmtree(outer)


def execute(url: str, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(run())


def kept(url: str) -> int:
    async def run() -> int:
        connection = await asyncpg.connect(url)
        number: int = await connection.fetchval("SELECT number FROM kept")
        await connection.close()
        return number

    return asyncio.run(run())


def postmaster(folder: Path) -> int:
    return int((folder / "postgres" / "postmaster.pid").read_text().split()[0])


def test_server_keeps_its_data_and_stops_with_its_last_user(folder: Path) -> None:
    with postgres.running(folder) as url:
        with postgres.running(folder) as joined:
            assert joined == url
            number = postmaster(folder)
        assert kept(url) == 42
        assert postmaster(folder) == number
    assert processes_in(folder) == []


@pytest.mark.parametrize("cut", [None, 4, 0], ids=["stale", "half-written", "empty"])
def test_lock_files_left_behind_do_not_hinder_a_start(folder: Path, cut: int | None) -> None:
    with postgres.running(folder):
        left = (folder / "postgres" / "postmaster.pid").read_text().splitlines()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        lines = [str(stranger.pid), *left[1:]]  # the number of another process by now
        for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
            (folder / "postgres" / name).write_text("\n".join(lines)[:cut])
        with postgres.running(folder) as url:
            assert kept(url) == 42
        assert stranger.poll() is None
        stranger.kill()


def test_killed_server_recovers(folder: Path) -> None:
    with postgres.running(folder):
        os.kill(postmaster(folder), signal.SIGKILL)
    with postgres.running(folder) as url:
        assert kept(url) == 42


def test_server_that_does_not_stop_in_time_is_stopped_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "STOP_SECONDS", 0)
    with postgres.running(folder):
        number = postmaster(folder)
        os.kill(number, signal.SIGSTOP)
    os.kill(number, signal.SIGCONT)
    until(lambda: processes_in(folder) == [])
    log = (folder / "postgres" / "log").read_text()
    assert f"[{number}] LOG:  received immediate shutdown request" in log


def test_path_too_long_for_a_socket_gets_a_short_stand_in(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 25)
    with postgres.running(folder) as url:
        execute(url, "SELECT 1")
        assert url == postgres.url(folder)
    assert processes_in(folder) == []
    Path(url.partition("host=")[2]).rmdir()


def test_damaged_folder_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "START_SECONDS", 0)
    (tmp_path / "postgres").mkdir()
    with pytest.raises(postgres.EmbeddedDatabaseError, match="delete the folder") as caught, postgres.running(tmp_path):
        pass
    assert str(tmp_path) in str(caught.value)


def test_missing_package_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert postgres.available()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert not postgres.available()

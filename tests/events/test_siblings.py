"""Workers of one `litestar run` notice each other's writes, however long they have had nothing to do."""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import pytest
from structlog.testing import capture_logs

from app.events import siblings
from app.settings import Settings, handed_down
from tests.events.conftest import Device, DeviceOf
from tests.events.following import all_are_there
from tests.processes import NEVER_LIMITED, Server, copied_project
from tests.wire import relayed

STREAMS = 8
SECOND = 1.0
PATIENCE = 20.0
"""With a busy machine; by itself a worker that has nothing to do asks after 60 seconds."""


class Ledger:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, int]] = []

    def moved(self, user_id: str, revision: int) -> None:
        self.lines.append(("moved", user_id, revision))

    def erased(self, user_id: str, revision: int) -> None:
        self.lines.append(("erased", user_id, revision))


def worker(path: str, connection: Connection) -> None:
    """Write when asked to, until the connection ends."""
    own = siblings.Siblings(path, Ledger())
    connection.send(own.have_written())
    while connection.recv():
        own.moved("somebody", 1)
        connection.send(own.have_written())


@contextmanager
def another(path: str) -> Iterator[Connection]:
    """A worker in a process of its own."""
    connection, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=worker, args=(path, theirs))
    process.start()
    theirs.close()  # so that its end ends ours
    try:
        assert connection.poll(60), process
        connection.recv()
        yield connection
    except EOFError:
        process.join()
        pytest.fail(str(process))
    finally:
        process.kill()
        process.join()


@pytest.fixture
def path() -> Iterator[str]:
    with siblings.introduced(2):
        yield handed_down(siblings.VARIABLE) or ""


def test_each_notices_what_another_one_writes_and_not_what_it_writes_itself(path: str) -> None:
    ledger = Ledger()
    with another(path) as connection:
        own = siblings.Siblings(path, ledger)
        own.have_written()
        own.moved("me", 7)
        own.erased("me", 7)
        own.note()
        assert not own.have_written()
        for _ in range(2):
            connection.send(True)
            connection.recv()
            assert own.have_written()
            assert not own.have_written()
        own.leave()
    assert ledger.lines == [("moved", "me", 7), ("erased", "me", 7)]


def test_whoever_comes_in_place_of_one_that_was_killed_has_the_others_ask(path: str) -> None:
    own = siblings.Siblings(path, Ledger())
    with another(path):
        own.have_written()
    with another(path):
        assert own.have_written()
    own.leave()


def test_without_a_free_place_or_memory_workers_go_on_alone(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(siblings, "PLACES", 1)
    with another(path), capture_logs() as logs:
        assert siblings.join(Ledger()) is None
        monkeypatch.setenv(siblings.VARIABLE, "/proc/self/fd/none")
        assert siblings.join(Ledger()) is None
    assert [line["error"] for line in logs] == ["BlockingIOError", "FileNotFoundError"]


@pytest.mark.parametrize("missing", [True, False], ids=["another system", "one worker"])
def test_nothing_is_handed_down_where_there_is_nobody_to_notice(missing: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if missing:
        monkeypatch.delattr(os, "memfd_create")
    with siblings.introduced(1 + missing):
        assert handed_down(siblings.VARIABLE) is None
        assert siblings.join(Ledger()) is None


@pytest.fixture
def server(settings: Settings) -> Iterator[Server]:
    """Two workers that nobody has asked anything; a statement of any of them is counted."""
    with copied_project() as folder:
        variables = {"DATABASE_URL": settings.database_url, "BETTER_AUTH_SECRET": settings.better_auth_secret}
        room = {"MAX_STREAMS_PER_USER": str(2 * STREAMS)}  # for those of before and after, should one worker have all
        yield Server(folder, port=None, workers=2, options=(), **variables, **room, **NEVER_LIMITED).serving()


async def test_a_worker_that_had_nothing_to_do_tells_of_another_one_s_write_before_it_would_ask_by_itself(
    server: Server, device_at: DeviceOf
) -> None:
    device = await device_at(server.url)
    streams = [await device.follow() for _ in range(STREAMS)]
    for _ in range(2):
        revision = await device.write()
        for stream in streams:
            await stream.until_revision(revision, PATIENCE)
    os.kill(server.worker_ids[0], signal.SIGKILL)
    await all_are_there(server, server.workers + 1)
    writer: Device = await device_at(server.url, device.user_id)
    streams = [await device.follow() for _ in range(STREAMS)]
    revision = await writer.write()
    for stream in streams:
        await stream.until_revision(revision, PATIENCE)


async def test_a_write_costs_each_other_worker_one_statement_and_silence_none(
    settings: Settings, device_at: DeviceOf
) -> None:
    with copied_project() as folder:
        async with relayed(settings.database_url) as (relay, url):
            variables = {"DATABASE_URL": url, "BETTER_AUTH_SECRET": settings.better_auth_secret}
            server = Server(folder, port=None, workers=3, options=(), **variables, **NEVER_LIMITED)
            await asyncio.to_thread(server.serving)
            await asyncio.sleep(2 * SECOND)  # in which each has noticed that the others are there
            for _ in range(STREAMS):
                assert (await (await device_at(server.url)).follow()).status == 200
            await asyncio.sleep(2 * SECOND)
            assert relay.statements == 0
            writer = await device_at(server.url)
            await writer.write()
            await asyncio.sleep(2 * SECOND)  # in which all have connected
            relay.reset()
            await writer.write()
            await asyncio.sleep(2 * SECOND)
            assert 1 < relay.statements <= 5  # the write, two questions of its own worker, which works, and two others
            await asyncio.to_thread(server.terminate)

"""Real processes whose standard output is a pipe that is shared, or read late, or never."""

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest

from tests.processes import Server, copied_project, environment, until

AT_ONCE: Final = 50
VARIABLES: Final[dict[str, Any]] = {
    "DATABASE_URL": "postgresql://u:p@127.0.0.1:1/d",
    "BETTER_AUTH_SECRET": secrets.token_urlsafe(32),
    "LOG_FORMAT": "json",
    "SHUTDOWN_DELAY": "0",
}


class Unread(Server):
    """A server whose standard output nobody reads until `reading` is set."""

    def __init__(self, folder: Path, *, workers: int = 1) -> None:
        self.reading = threading.Event()
        super().__init__(folder, workers=workers, **VARIABLES)

    def _read(self) -> None:
        self.reading.wait()
        super()._read()

    def serving(self) -> "Unread":
        until(self._listens, 60)
        return self

    def close(self) -> None:
        self.reading.set()
        super().close()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Everything it has logged; a line that is torn, or no JSON, fails the test."""
        return [json.loads(line) for line in self.output.splitlines()]

    def requested(self) -> list[str]:
        return [line["request_id"] for line in self.lines if line["event"] == "request"]

    def ask(self, ids: list[str]) -> None:
        """Send a request for each id over one connection, and take the answers."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            for start in range(0, len(ids), AT_ONCE):
                some = ids[start : start + AT_ONCE]
                request = "GET /health HTTP/1.1\r\nHost: x\r\nX-Request-Id: {}\r\n\r\n"
                connection.sendall("".join(map(request.format, some)).encode())
                answers = b""
                while answers.count(b"HTTP/1.1 200") < len(some):
                    piece = connection.recv(65536)
                    assert piece
                    answers += piece


def ids(count: int, prefix: str = "r") -> list[str]:
    """Return ids as long as they may be, so that fewer lines fill a pipe."""
    return [f"{prefix}{number:0127}" for number in range(count)]


@pytest.fixture
def folder() -> Iterator[Path]:
    with copied_project() as folder:
        yield folder


def test_a_server_whose_output_nobody_reads_goes_on_answering_and_says_later_what_was_lost(folder: Path) -> None:
    server = Unread(folder).serving()
    sent = ids(6000)
    server.ask(sent)
    server.reading.set()
    until(lambda: "log lines lost" in server.output)
    server.ask(["afterwards"])
    assert server.terminate() == 0
    server.close()
    *kept, last = server.requested()
    assert last == "afterwards"
    assert kept == sent[: len(kept)]
    [lost] = [line for line in server.lines if line["event"] == "log lines lost"]
    assert lost["lines"] == len(sent) - len(kept) > 0
    assert lost["level"] == "error"


def test_every_line_of_two_workers_that_share_a_pipe_is_there_and_whole(folder: Path) -> None:
    server = Unread(folder, workers=2)
    server.reading.set()
    server.serving()
    sent = {name: ids(250, prefix=name) for name in "abcdefgh"}
    with ThreadPoolExecutor(len(sent)) as pool:
        list(pool.map(server.ask, sent.values()))
    assert server.terminate() == 0
    server.close()
    requested = server.requested()
    assert {name: [one for one in requested if one[0] == name] for name in sent} == sent


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_writes_the_last_lines_for_a_reader_who_is_late(folder: Path, workers: int) -> None:
    server = Unread(folder, workers=workers).serving()
    sent = ids(1500)
    server.ask(sent)
    server.reading.set()
    server.process.terminate()
    assert server.process.wait(30) == 0
    server.close()
    assert server.requested() == sent
    assert sum(line["event"].startswith("Finished server process") for line in server.lines) == workers


def test_sigterm_ends_a_server_whose_output_nobody_reads(folder: Path) -> None:
    server = Unread(folder).serving()
    server.ask(ids(1500))
    assert server.terminate() == 0


WRITER: Final = """
import asyncio, json, sys
import log_stream

async def main():
    stream = log_stream.LogStream(sys.__stdout__, sys.exit)
    for number in range(80):
        for size in (200, 9000, 300, 2500):
            stream.append(json.dumps({"of": sys.argv[1], "number": number, "padding": "x" * size}).encode() + b"\\n")
        await asyncio.sleep(0)
    log_stream.END_SECONDS = 60
    stream.finish()

asyncio.run(main())
"""


def test_lines_of_processes_that_share_a_pipe_never_tear_each_other_however_long() -> None:
    reader, writer = os.pipe()
    alone = environment(PYTHONPATH="app")  # the package would be imported with Litestar, which takes seconds
    processes = [subprocess.Popen([sys.executable, "-c", WRITER, name], stdout=writer, env=alone) for name in "abc"]
    os.close(writer)
    time.sleep(1)  # until they all wait for room
    text = b""
    while piece := os.read(reader, 5000):
        text += piece
    os.close(reader)
    assert [process.wait() for process in processes] == [0, 0, 0]
    found = [json.loads(line) for line in text.splitlines()]
    assert len(found) == 3 * 4 * 80
    for name in "abc":
        numbers = [line["number"] for line in found if line["of"] == name]
        assert numbers == sorted(numbers)

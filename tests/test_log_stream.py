import asyncio
import atexit
import os
import pty
import socket
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Final

import pytest

from app import log_stream
from app.log_stream import LogStream
from tests.processes import until

LIMIT: Final = 100_000
MOST: Final = 1 << 20
"""Bytes of one read: more than any of the buffers between the ends has."""

Standard = Callable[[int], LogStream]


@pytest.fixture
def standard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Standard]:
    """Make a descriptor the standard output, and return the stream to it."""
    made: list[tuple[LogStream, TextIOWrapper]] = []

    def make(descriptor: int) -> LogStream:
        stdout = os.fdopen(descriptor, "w")
        monkeypatch.setattr(sys, "stdout", stdout)
        stream = LogStream(stdout, lambda lines: stream.append(b"lost %d\n" % lines), limit=LIMIT)
        made.append((stream, stdout))
        return stream

    yield make
    for stream, stdout in made:
        atexit.unregister(stream.finish)
        stdout.close()


def ends_of(kind: str) -> tuple[int, int]:
    """Open something that somebody has to read: its end that does not block, and the one that is written to."""
    if kind == "socket":
        one, other = socket.socketpair()
        ends = one.detach(), other.detach()
    elif kind == "terminal":
        ends = pty.openpty()
        tty.setraw(ends[1])
    else:
        ends = os.pipe()
    os.set_blocking(ends[0], False)
    return ends


async def read_to_the_end(descriptor: int) -> bytes:
    """Read until nothing has come for a while."""
    found, quiet_since = b"", time.monotonic()
    while time.monotonic() - quiet_since < 1:
        try:
            found += os.read(descriptor, MOST)
            quiet_since = time.monotonic()
        except BlockingIOError:
            await asyncio.sleep(0.005)
    return found


async def test_lines_go_out_at_the_end_of_the_turn_of_the_event_loop(standard: Standard) -> None:
    reader, writer = ends_of("pipe")
    stream = standard(writer)
    stream.append(b"one\n")
    stream.write("two\n")
    with pytest.raises(BlockingIOError):
        os.read(reader, MOST)
    await asyncio.sleep(0)
    assert os.read(reader, MOST) == b"one\ntwo\n"


def test_a_line_goes_out_at_once_where_no_event_loop_runs(standard: Standard) -> None:
    reader, writer = ends_of("pipe")
    stream = standard(writer)
    for line in (b"one\n", b"two\n"):
        stream.append(line)
        assert os.read(reader, MOST) == line


def test_lines_of_a_loop_that_was_closed_before_its_turn_are_not_stuck(standard: Standard) -> None:
    reader, writer = ends_of("pipe")
    stream = standard(writer)

    loop = asyncio.new_event_loop()
    loop.call_soon(stream.append, b"one\n")
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    stream.append(b"two\n")
    assert os.read(reader, MOST) == b"one\ntwo\n"


@pytest.mark.parametrize("kind", ["pipe", "socket", "terminal"])
async def test_unread_lines_are_kept_up_to_a_limit_then_dropped_and_counted_where_they_are_missing(
    standard: Standard, kind: str
) -> None:
    reader, writer = ends_of(kind)
    stream = standard(writer)
    for number in range(3000):
        stream.append(b"%d %s\n" % (number, b"x" * (number % 700)))
        await asyncio.sleep(0)
    read = await read_to_the_end(reader)
    assert LIMIT < len(read) < 10 * LIMIT
    number = 0
    for line in read.splitlines():
        if line.startswith(b"lost"):
            number += int(line.removeprefix(b"lost"))
        else:
            assert line == b"%d %s" % (number, b"x" * (number % 700))
            number += 1
    assert number == 3000
    assert b"lost" in read
    assert os.get_blocking(writer), "the open file belongs to parent and siblings, too"
    os.close(reader)


def test_a_line_that_is_dropped_while_a_loss_is_reported_does_not_take_the_report_with_it(
    standard: Standard,
) -> None:
    reader, writer = ends_of("socket")  # which a thread writes to
    stream = standard(writer)
    too_long = b"x" * LIMIT + b"\n"
    reports: list[int] = []

    def report(lines: int) -> None:
        reports.append(lines)
        if len(reports) == 1:
            other = threading.Thread(target=stream.append, args=(too_long,))
            other.start()
            other.join()
        stream.append(b"lost %d\n" % lines)

    stream._report_lost = report  # noqa: SLF001 - no place to wait at is public
    stream.append(too_long)
    until(lambda: sum(reports) == 2)
    os.set_blocking(reader, True)
    read = b""
    while read.count(b"\n") < len(reports):
        read += os.read(reader, MOST)
    assert read == b"".join(b"lost %d\n" % lines for lines in reports)
    os.close(reader)


@pytest.mark.parametrize("kind", ["pipe", "socket"])
async def test_a_reader_that_has_gone_harms_nobody(standard: Standard, kind: str) -> None:
    reader, writer = ends_of(kind)
    stream = standard(writer)
    os.close(reader)
    stream.append(b"line\n")
    await asyncio.sleep(0.05)
    stream.append(b"line\n")


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_the_end_waits_a_moment_for_a_late_reader(
    standard: Standard, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_stream, "END_SECONDS", 60)
    reader, writer = ends_of(kind)
    stream = standard(writer)
    lines = b"".join(b"%d %s\n" % (number, b"x" * 500) for number in range(150))
    found: list[bytes] = []
    late = threading.Timer(0.1, lambda: found.append(asyncio.run(read_to_the_end(reader))))
    for line in lines.splitlines(keepends=True):
        stream.append(line)
    late.start()
    stream.finish()
    late.join()
    assert found == [lines]
    os.close(reader)


def test_a_file_that_others_write_to_keeps_every_line_in_its_place(standard: Standard, tmp_path: Path) -> None:
    file = tmp_path / "log"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    stream = standard(descriptor)
    os.write(descriptor, b"banner\n")
    stream.append(b"line\n")
    os.write(descriptor, b"traceback\n")
    assert file.read_text() == "banner\nline\ntraceback\n"


async def test_a_process_without_standard_output_logs_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(log_stream, "END_SECONDS", 60)
    stream = LogStream(None, lambda lines: pytest.fail(f"{lines} lines lost"))
    stream.append(b"line\n")
    await asyncio.sleep(0)
    started = time.monotonic()
    stream.finish()
    assert time.monotonic() - started < 30

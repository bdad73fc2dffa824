"""Standard output for logs: lines leave whole, in order and once per turn of the event loop, and never hold it up.

Lines that cannot be written yet are kept, up to a limit. From then on lines are dropped and counted, until half of what
was kept is written.
"""

import asyncio
import atexit
import fcntl
import os
import select
import stat
import sys
import termios
import threading
import time
from collections.abc import Callable
from typing import Final, TextIO

MEBIBYTE: Final = 1 << 20
RETRY_SECONDS: Final = 0.01
PIPE_BYTES: Final = 1 << 16
"""What a pipe holds by default, in pages of PIPE_BUF."""
END_SECONDS: Final = 0.5
"""How long the end of the process waits for a reader."""


class LogStream:
    """Writes lines to `stdout`, if there is one; `report_lost` logs the number of lines that were dropped."""

    def __init__(self, stdout: TextIO | None, report_lost: Callable[[int], None], *, limit: int = MEBIBYTE) -> None:
        self._stdout = stdout
        self._report_lost = report_lost
        self._limit = limit
        self._pending = bytearray()
        self._dropped = 0
        self._reported = 0
        self._reporter: int | None = None
        self._fd = -1
        self._is_pipe = False
        self._flush: Callable[[], None] = self._open
        self._writing = threading.Lock()
        self._scheduled_in: asyncio.AbstractEventLoop | None = None
        self._deadline: float | None = None

    def append(self, line: bytes) -> None:
        """Write a line, which ends with a newline, at the end of this turn; at once where no event loop runs."""
        if sys.stdout is not self._stdout:  # somebody captures what is printed
            sys.stdout.write(line.decode())
            sys.stdout.flush()
            return
        no_room = self._dropped > self._reported or len(self._pending) + len(line) > self._limit
        if no_room and self._reporter != threading.get_ident():
            self._dropped += 1
        else:
            self._pending.extend(line)
        if self._deadline is not None:
            self.finish()
        elif self._scheduled_in is None or self._scheduled_in.is_closed():
            self._schedule()

    def write(self, text: str) -> None:
        """Be a file, as far as logging.StreamHandler needs one."""
        self.append(text.encode(errors="backslashreplace"))

    def flush(self) -> None:
        """Leave that to the end of the turn."""

    def finish(self) -> None:
        """Write what is left, and from now on every line at once, waiting for a reader END_SECONDS in all."""
        self._deadline = self._deadline or time.monotonic() + END_SECONDS
        if self._pending:
            self._flush()
        while self._pending and time.monotonic() < self._deadline:
            time.sleep(RETRY_SECONDS)
            self._flush()

    def _schedule(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._flush()
        else:
            self._scheduled_in = loop
            loop.call_soon(self._end_turn, loop)

    def _end_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled_in = None
        self._flush()
        if self._pending and self._scheduled_in is None:
            self._scheduled_in = loop
            loop.call_later(RETRY_SECONDS, self._end_turn, loop)

    def _open(self) -> None:
        """Find out how to write without blocking.

        O_NONBLOCK belongs to the open file, which parent and siblings share: a pipe or a terminal is opened again, for
        this process alone. A file stays as it is, for nobody has to read it first, and opened again it would have an
        offset of its own. Whatever cannot be opened again (a socket, a pipe of another user, all without /proc) is left
        to a thread, which costs more: it competes for the interpreter.
        """
        self._fd = self._stdout.fileno() if self._stdout else os.open(os.devnull, os.O_WRONLY)
        mode = os.fstat(self._fd).st_mode
        self._is_pipe = stat.S_ISFIFO(mode)
        self._flush = self._write_pending
        if not stat.S_ISREG(mode):
            try:
                self._fd = os.open(f"/proc/self/fd/{self._fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
            except OSError:
                wake = threading.Event()
                threading.Thread(target=self._follow, args=(wake,), daemon=True).start()
                self._flush = wake.set
        atexit.register(self.finish)
        self._flush()

    def _follow(self, wake: threading.Event) -> None:
        while wake.wait():
            wake.clear()
            self._write_pending()

    def _write_pending(self) -> None:
        with self._writing:
            while chunk := self._next():
                try:
                    written = os.write(self._fd, chunk)
                except OSError:  # nobody reads, the disk is full: it may yet change
                    break
                del self._pending[:written]
        lost = self._dropped - self._reported
        if lost and len(self._pending) <= self._limit // 2:
            self._reported += lost
            self._reporter = threading.get_ident()  # whose line stays, though another thread drops one meanwhile
            try:
                self._report_lost(lost)
            finally:
                self._reporter = None

    def _next(self) -> bytearray:
        """Return lines that a pipe takes in one piece, so that other workers' lines cannot tear them apart.

        The kernel promises that up to PIPE_BUF. A longer line goes alone, and waits until the pipe has room for it.
        """
        end = self._pending.rfind(b"\n", 0, select.PIPE_BUF) + 1
        if not end:
            end = self._pending.find(b"\n") + 1
            if end and self._is_pipe and not _has_room(self._fd, end):
                end = 0
        return self._pending[:end]


def _has_room(pipe: int, size: int) -> bool:
    """Tell whether this surely fits in one piece: pages of a pipe may be half empty, the first and the last more so."""
    unread = int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
    return not unread or 2 * unread + size + 3 * select.PIPE_BUF <= PIPE_BYTES

"""Debian's redis-server on a free port of the loopback, to be killed, stopped and started again."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.processes import END_SECONDS, free_port, until

PROGRAM = shutil.which("redis-server") or shutil.which("valkey-server")
MISSING = "redis-server is not installed (apt-get install redis-server)"


class Redis:
    """One server; nothing of it is written to a disk."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        assert PROGRAM
        options = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", "/tmp")  # noqa: S108 - nothing is written there
        self.process = subprocess.Popen([PROGRAM, *options], stdout=subprocess.DEVNULL)
        until(self._answers)

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as client:
            client.sendall(b"PING\r\n")
            return client.recv(7) == b"+PONG\r\n"
        return False

    def stop(self) -> None:
        """Let it hang: connections stay open, and nothing is answered."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def proceed(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(END_SECONDS)


@contextmanager
def running() -> Iterator[Redis]:
    server = Redis()
    try:
        yield server
    finally:
        server.kill()

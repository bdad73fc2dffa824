"""Carries connections to PostgreSQL's Unix socket, and makes every round trip longer by a fixed time.

Run it with `python -m tests.load.bench.relay LISTENING_SOCKET TARGET_SOCKET MILLISECONDS`. What clients send is held
back, answers pass at once. The loop waits in select(), whose timeout counts in microseconds: the usual ones count in
milliseconds, which is too coarse for a delay of a few of them.
"""

import asyncio
import selectors
import signal
import sys
from collections import deque
from pathlib import Path


class End(asyncio.Protocol):
    """One end of a carried connection; what it receives goes out at the other end."""

    def __init__(self) -> None:
        self.peer: asyncio.Transport | None = None

    def data_received(self, data: bytes) -> None:
        if self.peer is not None:
            self.peer.write(data)

    def connection_lost(self, _: Exception | None) -> None:
        if self.peer is not None:
            self.peer.close()


class Client(End):
    """The application's end, which holds back what it receives until it is due."""

    def __init__(self, target: Path, delay: float) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._target = target
        self._delay = delay
        self._held: deque[bytes] = deque()
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        self._connecting = self._loop.create_task(self._connect(transport))

    async def _connect(self, transport: asyncio.Transport) -> None:
        server = End()
        server.peer = transport
        try:
            self.peer, _ = await self._loop.create_unix_connection(lambda: server, str(self._target))
        except OSError:
            transport.abort()
        else:
            transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self._held.append(data)
        self._loop.call_later(self._delay, self._pass)

    def _pass(self) -> None:
        super().data_received(self._held.popleft())


async def relay(listening: Path, target: Path, delay: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(lambda: Client(target, delay), str(listening))
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    await ended.wait()
    server.close()


def main(listening: str, target: str, milliseconds: str) -> None:
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(relay(Path(listening), Path(target), float(milliseconds) / 1000))


if __name__ == "__main__":
    main(*sys.argv[1:])

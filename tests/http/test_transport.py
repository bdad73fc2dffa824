import asyncio
from typing import Any

from app.http.protocol.transport import GatheringTransport

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"


class Recorder:
    """A transport that keeps what it is told to send, write by write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed_after: int | None = None

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def close(self) -> None:
        self.closed_after = len(self.writes)

    def is_closing(self) -> bool:
        return self.closed_after is not None


def gathering() -> tuple[Any, Recorder]:
    recorder = Recorder()
    transport: Any = recorder
    return GatheringTransport(transport, asyncio.get_running_loop()), recorder


async def test_head_and_body_are_one_write() -> None:
    transport, recorder = gathering()
    for _ in range(2):
        transport.write(HEAD)
        transport.write(b"body")
    assert recorder.writes == [HEAD + b"body"] * 2


async def test_an_answer_without_a_body_is_written_too() -> None:
    transport, recorder = gathering()
    transport.write(HEAD)
    transport.write(b"")
    assert recorder.writes == [HEAD]


async def test_the_head_of_a_stream_waits_for_one_turn_of_the_event_loop_only() -> None:
    transport, recorder = gathering()
    transport.write(HEAD)
    assert recorder.writes == []
    await asyncio.sleep(0)
    assert recorder.writes == [HEAD]
    transport.write(b"chunk")
    transport.write(b"chunk")
    assert recorder.writes == [HEAD, b"chunk", b"chunk"]


async def test_closing_writes_what_was_held_back_first() -> None:
    transport, recorder = gathering()
    transport.write(HEAD)
    assert not transport.is_closing()
    transport.close()
    assert recorder.writes == [HEAD]
    assert recorder.closed_after == 1
    await asyncio.sleep(0)
    assert recorder.writes == [HEAD]

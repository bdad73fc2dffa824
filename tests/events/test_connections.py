"""Clients that read slowly, or not at all, or are gone; and streams on which nothing happens."""

import asyncio
import contextlib
import re
import socket
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from app.events import hub as hubs
from app.events.hub import Hub
from app.events.response import StreamAnswer
from app.events.stream import EventStream
from app.settings import Settings
from tests.conftest import random_user
from tests.events.client import HEAD, token
from tests.events.conftest import DeviceOf
from tests.servers import serving

TCP_REPAIR = 19  # tcp(7) does not name it: a socket in this state is closed without a word to its peer
WRITES = 10_000
BYTES = 100_000


@pytest.fixture
def quick(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that speaks up after a moment of silence, and waits a moment for whoever takes nothing."""
    monkeypatch.setattr(hubs, "BEAT_SECONDS", 0.4)
    monkeypatch.setattr(hubs, "SWEEP_SECONDS", 0.1)
    with serving(replace(settings, send_timeout=1, max_streams_per_user=1)) as address:
        yield address


async def test_a_comment_breaks_the_silence(quick: str, device_at: DeviceOf) -> None:
    stream = await (await device_at(quick)).follow()
    await stream.until(":\n\n:\n\n:\n\n")
    assert re.fullmatch(r"retry: \d+\n\n(:\n\n)+", stream.text)


async def test_an_event_puts_the_comment_off(quick: str, device_at: DeviceOf, monkeypatch: pytest.MonkeyPatch) -> None:
    device = await device_at(quick)
    stream = await device.follow()
    await stream.until(":\n\n")
    monkeypatch.setattr(hubs, "BEAT_SECONDS", 3)
    for _ in range(8):
        await device.write()
        await asyncio.sleep(0.5)
    assert stream.text.count(":\n\n") == 1


async def test_a_client_that_vanishes_without_a_word_makes_room(
    quick: str, settings: Settings, device_at: DeviceOf
) -> None:
    user_id = random_user()
    device = await device_at(quick, user_id)
    parts = urlsplit(quick)
    with socket.create_connection((parts.hostname, parts.port)) as vanishing:
        vanishing.sendall(HEAD.format(path="/api/me/events", token=token(settings, user_id)).encode())
        await asyncio.to_thread(vanishing.recv, 4096)
        assert (await device.http.head("/api/me/events")).status_code == 429
        with contextlib.suppress(PermissionError):  # then it says goodbye
            vanishing.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    async with asyncio.timeout(30):
        while (await device.http.head("/api/me/events")).status_code == 429:
            await asyncio.sleep(0.1)


async def test_one_number_waits_for_a_slow_reader_whatever_is_written(settings: Settings) -> None:
    hub = Hub(settings)
    stream = EventStream("ada", float("inf"))
    reading = asyncio.Event()
    sent: list[bytes] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            sent.append(message["body"])
            await reading.wait()

    async def receive() -> Any:
        await asyncio.Event().wait()

    scope: Any = {"type": "http", "state": {}}
    answering = asyncio.create_task(StreamAnswer(hub, stream)(scope, receive, send))
    while not sent:
        await asyncio.sleep(0)
    tracemalloc.start()
    for revision in range(1, WRITES + 1):
        hub.moved("ada", revision)
        stream.beat()
    assert tracemalloc.get_traced_memory()[0] < BYTES
    tracemalloc.stop()
    reading.set()
    while len(sent) < 2:
        await asyncio.sleep(0)
    stream.end()
    await answering
    assert sent[1] == b'id: %d\ndata: {"revision": %d}\n\n' % (WRITES, WRITES)
    assert len(sent) == 4  # when to come back, the event, the end, and that nothing follows
    assert (hub.open, hub.users) == (0, {})


async def test_a_client_that_leaves_before_its_stream_has_begun_leaves_nothing(settings: Settings) -> None:
    hub = Hub(settings)

    async def send(_: Any) -> None:
        await asyncio.sleep(0)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    scope: Any = {"type": "http", "state": {}}
    await StreamAnswer(hub, EventStream("ada", float("inf")))(scope, receive, send)
    assert (hub.open, hub.opened, hub.users) == (0, 1, {})


async def test_a_stream_that_opens_while_the_server_ends_ends_as_well(settings: Settings) -> None:
    sent: list[bytes] = []

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    async def receive() -> Any:
        await asyncio.Event().wait()

    scope: Any = {"type": "http", "state": {"ending": True}}
    await StreamAnswer(Hub(settings), EventStream("ada", float("inf")))(scope, receive, send)
    assert re.fullmatch(rb"retry: \d+\n\nretry: \d+\n\n", b"".join(sent))

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from app.http.protocol import cycle
from app.http.protocol.cycle import Cycle, Lines

NO_LOGGER: Any = None
DEFAULTS = [(b"date", b"Wed, 25 Nov 2026 12:00:00 GMT")]
LENGTH_4 = (b"content-length", b"4")
JSON = (b"content-type", b"application/json")


def start(status: int, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": [*headers]}


def body(part: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": part, "more_body": more}


async def sent(
    kind: type[RequestResponseCycle], *messages: Any, method: str = "GET", keep_alive: bool = True
) -> list[Any]:
    """What a cycle does with these messages: writes, the end of the connection, the end of the answer, an error."""
    happened: list[Any] = []
    transport: Any = SimpleNamespace(write=happened.append, close=lambda: happened.append("closed"))
    flow: Any = SimpleNamespace(write_paused=False)
    one = kind(
        scope={"method": method},  # type: ignore[typeddict-item]  # no more of it is looked at
        transport=transport,
        flow=flow,
        logger=NO_LOGGER,
        access_logger=NO_LOGGER,
        access_log=False,
        default_headers=DEFAULTS,
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=keep_alive,
        on_response=lambda: happened.append("ended"),
    )
    try:
        for message in messages:
            await one.send(message)
    except RuntimeError:
        happened.append("refused")
    return [*happened, one.response_complete, one.keep_alive, one.message_event.is_set()]


@pytest.mark.parametrize("keep_alive", [True, False])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "messages",
    [
        [start(200, JSON, LENGTH_4), body(b"[{}]")],
        [start(200, JSON, LENGTH_4), body(b"[{", more=True), body(b"}]")],
        [start(200, JSON, LENGTH_4), body(b"")],
        [start(200, JSON, LENGTH_4), body(b"[{}, {}]")],
        [start(200, JSON, LENGTH_4), body(b"[{}]"), body(b"")],
        [start(200, JSON, (b"content-length", b"0")), body(b"")],
        [start(200, JSON), body(b"[{", more=True), body(b"}]")],
        [start(304, (b"etag", b'"1"')), body(b"")],
        [start(204), body(b"")],
        [start(204), body(b"a")],
        [start(200, LENGTH_4, (b"connection", b"close")), body(b"[{}]")],
        [start(200, (b"transfer-encoding", b"chunked")), body(b"[{}]")],
        [start(200, LENGTH_4, (b"etag", b"a\r\nb: c")), body(b"[{}]")],
        [start(200, LENGTH_4, (b"vary", b"a\nb")), body(b"[{}]")],
        [start(200, LENGTH_4, (b"va ry", b"a")), body(b"[{}]")],
        [body(b"[{}]")],
    ],
)
async def test_what_is_sent_is_what_uvicorn_sends(
    messages: list[dict[str, Any]], method: str, keep_alive: bool
) -> None:
    for _ in range(2):  # the second time from memory
        ours = await sent(Cycle, *messages, method=method, keep_alive=keep_alive)
        assert ours == await sent(RequestResponseCycle, *messages, method=method, keep_alive=keep_alive)


def test_few_lines_are_remembered_whatever_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cycle, "REMEMBERED", 3)
    lines = Lines()
    for number in range(100):
        assert lines.of((b"x-some", b"%d" % number)) == b"x-some: %d\r\n" % number
        assert lines.of((b"etag", b"%d" % number)) == b"etag: %d\r\n" % number
        assert lines.of((b"x-long", b"%d" % number * 300)).endswith(b"\r\n")
    assert 0 < len(vars(lines)["_known"]) <= 3

import asyncio
import json

import pytest

from app.http.protocol import framing
from app.settings import Settings
from tests.http.connections import connect, converse

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
KEEP_ALIVE = 5  # uvicorn's own default, which these connections have


async def test_a_connection_is_closed_that_was_idle_for_too_long(settings: Settings) -> None:
    connection, wire = connect(settings)
    now = asyncio.get_running_loop().time()
    for _ in range(2):
        connection.data_received(GET)
        for _ in range(10):
            await asyncio.sleep(0)
        connection.look(now)
        now += KEEP_ALIVE - 1
        connection.look(now)
        assert not wire.ended
    connection.look(now + 1)
    assert wire.ended


async def test_a_request_whose_answer_takes_its_time_has_no_deadline(settings: Settings) -> None:
    connection, wire = connect(settings)
    connection.data_received(GET)
    for seconds in (0, 1, 100, 1000):
        connection.look(asyncio.get_running_loop().time() + seconds)
    assert not wire.ended
    for _ in range(10):
        await asyncio.sleep(0)
    assert wire.sent.startswith(b"HTTP/1.1 200 ")


async def test_a_late_body_is_interrupted_and_cut_off_where_nobody_answers(settings: Settings) -> None:
    connection, wire = connect(settings)
    connection.data_received(GET[:-2] + b"Content-Length: 3\r\n\r\n")
    now = asyncio.get_running_loop().time()
    connection.look(now + settings.body_timeout - 1)
    assert connection.failed is None
    connection.look(now + settings.body_timeout + 1)
    assert connection.failed is not None
    assert not wire.ended
    connection.look(now + settings.body_timeout + 3)
    assert wire.ended


async def test_a_bug_of_ours_is_500_and_logged(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(framing, "check", lambda *_: 1 / 0)
    [(status, body)], ended = await converse(settings, GET)
    assert (status, json.loads(body)["code"], ended) == (500, "internal_error", True)
    assert "ZeroDivisionError" in capsys.readouterr().out

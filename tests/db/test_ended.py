import asyncio
import signal
import sys
from asyncio.selector_events import _SelectorSocketTransport as Transport  # type: ignore[attr-defined]
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Connection

from app.db import ended, migrations
from tests.db.empty import Empty

WRITES = 30
"""To the database, from connecting to the second or third attempt to have the turn."""


@pytest.fixture
def exit_on_sigterm() -> Iterator[None]:
    """As the server has it: the handler raises."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("exit_on_sigterm")
def test_sigterm_ends_the_wait_for_a_turn_wherever_it_finds_it(
    database: Empty, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Transport.write

    def migrate(_: Connection) -> None:
        raise AssertionError

    async def wait() -> None:
        async with asyncio.timeout(20):  # which would tell of a signal that was lost
            await migrations.run(migrations.create_engine(database.settings), migrate)

    def terminate_at(last: int) -> None:
        writes = count(1)

        def write_and_terminate(transport: Any, data: bytes) -> None:
            write(transport, data)
            if next(writes) == last:
                signal.raise_signal(signal.SIGTERM)

        monkeypatch.setattr(Transport, "write", write_and_terminate)

    monkeypatch.setattr(migrations, "POLL_SECONDS", 0.01)
    with database.transaction(migrations.TAKE_TURN):
        for last in range(1, WRITES + 1):
            terminate_at(last)
            with pytest.raises(SystemExit):
                asyncio.run(wait())
        monkeypatch.undo()


@pytest.mark.usefixtures("exit_on_sigterm")
def test_whoever_handled_sigterm_before_does_so_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)

    async def work() -> None:
        with ended.by_sigterm():
            assert signal.getsignal(signal.SIGTERM) is not before

    asyncio.run(work())
    assert signal.getsignal(signal.SIGTERM) is before


def test_without_a_handler_the_system_goes_on_to_end_the_process() -> None:
    async def work() -> None:
        with ended.by_sigterm():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    asyncio.run(work())

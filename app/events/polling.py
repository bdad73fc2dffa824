"""Asks the database which revisions have moved on: for all streams of a worker at once, and not while nobody works.

A Neon compute suspends itself when nobody asks it anything, so idle streams have to leave it alone.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from app.db.database import Database
from app.db.failures import AnswerLost, description
from app.db.statement import Statement
from app.events.hub import Hub

POLL_SECONDS: Final = 2.0
SIBLING_SECONDS: Final = 0.5
"""How often to look whether another worker of this host has written, which asks the database nothing if none has."""

SELDOM_SECONDS: Final = 30.0
AWAKE_SECONDS: Final = 60.0
"""How long after the worker's last other statement, or a change that it saw, it goes on asking."""

REVISIONS: Final = Statement(
    "events.revisions", "SELECT users.id, users.revision FROM users WHERE users.id = ANY ($1::text[])", ("connected",)
)
"""The one statement for several users that does not come from their own requests: it reads a number of each, and only
of those who have a stream here. On Citus it goes to the shards of these users, at the same time."""

logger = structlog.get_logger("app.events")


class Poller:
    """Asks every POLL_SECONDS, or seldom where `others_tell`: then only what nobody could tell is to be found.

    What is `told_of_doubt` is called after writes of this worker of which it does not know whether they took effect.
    """

    def __init__(self, database: Database, hub: Hub) -> None:
        self._database = database
        self._hub = hub
        self.others_tell: Callable[[], bool] = lambda: False
        self.others_wrote: Callable[[], bool] | None = None
        """Tells whether another worker of this host has written, where that can be known."""
        self.told_of_doubt: list[Callable[[], None]] = []
        self._doubts = AnswerLost.count
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._seen = 0  # statements of the worker when we last looked
        self._awake_until = 0.0
        self._asked_at = 0.0
        self._failing = False

    async def start(self) -> None:
        """Ask from now on; needs a running event loop."""
        self._asked_at = asyncio.get_running_loop().time()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def catch_up(self) -> None:
        """Ask once, and soon: something may have been missed."""
        self._wanted.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._tick):
                    await self._wanted.wait()
            if self._due(loop.time()):
                await self._ask(loop)

    @property
    def _tick(self) -> float:
        return SIBLING_SECONDS if self.others_wrote else POLL_SECONDS

    def _due(self, now: float) -> bool:
        """Tell whether to ask, and note whether the worker works."""
        lent = self._database.connections.lent
        if lent != self._seen:
            self._seen = lent
            self._awake_until = now + AWAKE_SECONDS
        if self._doubts != AnswerLost.count:
            self._doubts = AnswerLost.count
            self._wanted.set()
            for tell in self.told_of_doubt:
                tell()
        others_tell = self.others_tell()
        if self.others_wrote and not others_tell and self.others_wrote():
            self._wanted.set()
        if not self._hub.open:
            self._wanted.clear()
            return False
        interval = SELDOM_SECONDS if others_tell else POLL_SECONDS
        due = now < self._awake_until and now - self._asked_at >= interval - self._tick / 2
        return due or self._wanted.is_set()

    async def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        self._asked_at = loop.time()
        connected = self._hub.users
        wanted = self._wanted.is_set()
        self._wanted.clear()
        try:
            rows = await self._database.fetch_all(REVISIONS, {"connected": [*connected]})
        except Exception as error:  # noqa: BLE001 - whatever it is, the next time may go well
            if not self._failing:
                logger.warning("revisions cannot be read", **description(error))
            self._failing = True
            await asyncio.sleep(POLL_SECONDS)
            if wanted:
                self._wanted.set()
            return
        self._failing = False
        revisions = {row["id"]: row["revision"] for row in rows}
        self._tell(connected, revisions)

    def _tell(self, connected: dict[str, int], revisions: dict[str, int]) -> None:
        """Tell streams what has become of what was known of their users before the database was asked."""
        news = False
        for user_id, known in connected.items():
            revision = revisions.get(user_id)
            news |= self._hub.erased(user_id, known) if revision is None else self._hub.moved(user_id, revision)
        if news:
            self._awake_until = asyncio.get_running_loop().time() + AWAKE_SECONDS

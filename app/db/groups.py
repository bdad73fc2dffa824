"""Requests that wait for the same statement: those of all users together, and of one user apart.

A group is what is sent together; app/db/coalesce.py sends it.
"""

import asyncio
from collections.abc import Hashable
from itertools import islice
from time import monotonic
from typing import Final

from app.db.shared import Requests
from app.db.statement import Statement

UNDER_WAY: Final = 2
"""Statements of a group that are under way while its further requests wait."""

LARGEST: Final = 64
"""Requests in one statement."""

SLOW: Final = 0.02
"""Seconds after which a statement no longer counts as under way: nobody waits longer for a slow or stuck one."""


class Group:
    """Requests for one statement with the same shared values."""

    __slots__ = ("collecting", "key", "sent", "statement", "waiting", "watched")

    def __init__(self, key: Hashable, statement: Statement) -> None:
        self.key = key
        self.statement = statement
        self.sent: list[float] = []
        """When each statement under way was sent."""

        self.waiting: Requests = {}
        self.watched = False
        self.collecting = False
        """Whether those who wait are about to be sent; whoever comes before it is their turn is sent along."""

    def is_busy(self) -> bool:
        """Tell whether a request has to wait."""
        if self.collecting or len(self.sent) < UNDER_WAY:
            return self.collecting
        slow = monotonic() - SLOW
        return sum(moment > slow for moment in self.sent) >= UNDER_WAY

    def take(self) -> Requests:
        """Remove those who have waited longest, as many as go into one statement."""
        taken = dict(islice(self.waiting.items(), LARGEST))
        for answer in taken:
            del self.waiting[answer]
        return taken


class UserGroup:
    """Requests of one user for such a statement, which wait for a turn of that user, as one."""

    __slots__ = ("statement", "turn", "user_id", "waiting")

    def __init__(self, statement: Statement, user_id: str, turn: asyncio.Future[None]) -> None:
        self.statement = statement
        self.user_id = user_id
        self.turn = turn
        self.waiting: Requests = {}

    def take(self) -> Requests:
        """Remove all; they are no more than go into one statement."""
        taken, self.waiting = self.waiting, {}
        return taken

"""Whether a user still exists and is not banned, as Better Auth's table `user` in our own database says."""

import time
from collections import OrderedDict
from typing import Final

from app.auth.caller import Refused
from app.db.database import Database
from app.db.statement import Statement

CHECK_SECONDS: Final = 60
MAXIMUM_REMEMBERED: Final = 4096

IS_BANNED: Final = Statement(
    "accounts.banned",
    """
SELECT coalesce((account ->> 'banned')::boolean, false)
       AND coalesce(coalesce(account ->> 'banExpires', account ->> 'ban_expires')::timestamptz > now(), true)
FROM (SELECT to_jsonb(entry) AS account FROM "user" AS entry WHERE entry.id::text = $1::text) AS found
""",
    ("user_id",),
)
"""Works with and without the admin plugin's columns, in both spellings. The cast costs ids of text nothing; it lets ids
be numbers or UUIDs, at the price of the index."""


class Accounts:
    """Asks at most once a minute for each user."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._checked: OrderedDict[str, tuple[float, str | None]] = OrderedDict()

    async def checked_until(self, user_id: str) -> float:
        """Return the second until which the user counts as good. Raises Refused, and what `database.fetch` raises."""
        until, reason = self._checked.get(user_id, (0.0, None))
        if time.time() >= until:
            record = await self._database.fetch(IS_BANNED, {"user_id": user_id})
            reason = (
                "its user does not exist any more" if record is None else "its user is banned" if record[0] else None
            )
            until = time.time() + CHECK_SECONDS
            self._checked[user_id] = until, reason
            if len(self._checked) > MAXIMUM_REMEMBERED:
                self._checked.popitem(last=False)
        if reason is not None:
            raise Refused("user", reason)
        return until

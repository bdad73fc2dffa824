"""Whether a user still exists and is not banned, as Better Auth's table `user` in our own database says."""

import time
from collections import OrderedDict
from typing import Final

import asyncpg

from app.auth.refusal import Refused
from app.db.database import Database
from app.db.statement import USER_ID, Statement

CHECK_SECONDS: Final = 60
REMEMBERED: Final = 4096

QUERY: Final = """
SELECT coalesce((entry ->> 'banned')::boolean, false)
       AND coalesce(coalesce(entry ->> 'banExpires', entry ->> 'ban_expires')::timestamptz > now(), true)
FROM (SELECT to_jsonb(account) AS entry FROM "user" AS account WHERE {condition}) AS found
"""
"""Works with and without the admin plugin's columns, in both spellings."""

PARAMETERS: Final = (USER_ID.key,)
TEXT_ID: Final = Statement(QUERY.format(condition="account.id = $1::text"), PARAMETERS)
OTHER_ID: Final = Statement(QUERY.format(condition="account.id::text = $1::text"), PARAMETERS)
"""For ids that are numbers or UUIDs, at the price of the index."""


class Accounts:
    """Asks at most once a minute for each user."""

    def __init__(self, lane: Database) -> None:
        self._lane = lane
        self._statement = TEXT_ID
        self._checked: OrderedDict[str, tuple[float, str | None]] = OrderedDict()

    async def checked_until(self, user_id: str) -> float:
        """Return the second until which the user counts as good. Raises Refused, and what the lane raises."""
        until, trouble = self._checked.get(user_id, (0.0, None))
        if time.time() >= until:
            record = await self._fetch(user_id)
            trouble = (
                "its user does not exist any more" if record is None else "its user is banned" if record[0] else None
            )
            until = time.time() + CHECK_SECONDS
            self._checked[user_id] = until, trouble
            if len(self._checked) > REMEMBERED:
                self._checked.popitem(last=False)
        if trouble is not None:
            raise Refused(trouble)
        return until

    async def _fetch(self, user_id: str) -> asyncpg.Record | None:
        try:
            return await self._lane.fetch(self._statement, {USER_ID.key: user_id})
        except asyncpg.UndefinedFunctionError:  # the column is not text
            self._statement = OTHER_ID
            return await self._lane.fetch(self._statement, {USER_ID.key: user_id})

"""What changed since a revision, deletions included, in the order of the writes: one statement a page."""

from collections.abc import Sequence

from msgspec import json

from app.db.database import Database
from app.http.compression import SMALLEST, Coding
from app.tasks.changes.since import Since
from app.tasks.changes.statement import changes
from app.tasks.errors import ChangesGone
from app.tasks.json import TaskJSON
from app.tasks.list_cache import Page


class ChangeFeed:
    """Runs the statement; `priority_names` are written for the stored 1, 2 and 3."""

    def __init__(self, database: Database, *, priority_names: Sequence[str], compress: bool = True) -> None:
        self._fetch = database.fetch
        self._statement = changes(TaskJSON(priority_names))
        self._compress = compress

    async def page(
        self, user_id: str, asked: Since, address: str, known: Sequence[int] = (), coding: Coding | None = None
    ) -> Page:
        """Return a page, whose next one is at `address` too, packed by `coding` if it is long. Raises ChangesGone.

        Its body is left out if the user's revision is among `known`.
        """
        values = {"since": asked.since, "limit": asked.limit, "snapshot": asked.snapshot}
        record = await self._fetch(self._statement, {**values, "user_id": user_id, "known": known})
        if record is None:  # the user has never written, or is erased
            if asked.since or asked.snapshot:
                raise ChangesGone
            return Page(0, None if 0 in known else _body("", 0, None))
        if record["gone"]:
            raise ChangesGone
        revision = record["revision"]
        if revision in known:
            return Page(revision, None)
        items, last = record["contents"] or ("", None)
        following = last and f"{address}?{asked.next_page(int(last), revision)}"
        body = _body(items, last or revision, following)
        if coding and self._compress and len(body) >= SMALLEST:
            return Page(revision, coding.pack(body), coding=coding.name)
        return Page(revision, body)


def _body(items: str, reached: int | str, following: str | None) -> bytes:
    """Write a page; `reached` is the revision to go on from, also if nobody follows to the next page."""
    return f'{{"changes":[{items}],"revision":{reached},"next":{json.encode(following).decode()}}}'.encode()

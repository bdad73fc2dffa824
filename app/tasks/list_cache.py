"""List bodies kept to be confirmed: the database is asked every time, and answers "unchanged" by revision."""

from collections import OrderedDict
from typing import Final

from msgspec import Struct

from app.http.compression import Coding
from app.tasks.query import ListQuery

OVERHEAD: Final = 1024
"""Bytes that an entry takes beside its body: key, query and bookkeeping, rounded up."""


class Page(Struct, frozen=True):
    """One page of a list, or of changes: the user's revision, its JSON, and the cursor of a list's next page if any.

    `body` is None where the client has said that it holds this revision, and packed where `coding` says how.
    """

    revision: int
    body: bytes | None
    next_cursor: str | None = None
    coding: bytes | None = None


Key = tuple[str, ListQuery, Coding | None]
"""Whose list, which one, and how it is packed."""


class ListCache:
    """The least recently used pages make room for new ones, so that all together stay within `capacity` bytes."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._pages: OrderedDict[Key, Page] = OrderedDict()
        self.size = 0
        self.results = {"hit": 0, "miss": 0}
        """How many bodies were answered from here, and how many had to be read."""

    def get(self, key: Key) -> Page | None:
        """Return the page last answered for this key."""
        page = self._pages.get(key)
        if page is not None:
            self._pages.move_to_end(key)
        return page

    def put(self, key: Key, page: Page) -> None:
        """Keep a page, unless it alone would fill the cache."""
        self.drop(key)
        if _cost(page) > self._capacity:
            return
        self._pages[key] = page
        self.size += _cost(page)
        while self.size > self._capacity:
            _, oldest = self._pages.popitem(last=False)
            self.size -= _cost(oldest)

    def drop(self, key: Key) -> None:
        """Forget a page."""
        page = self._pages.pop(key, None)
        if page is not None:
            self.size -= _cost(page)


def _cost(page: Page) -> int:
    return len(page.body or b"") + OVERHEAD

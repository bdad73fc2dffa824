"""What a request for changes asks for: read strictly from its query string, and written into the next page's path."""

from typing import Any, Final
from urllib.parse import urlencode

from litestar.openapi.spec import Schema
from msgspec import Struct

from app.errors import FieldError, ValidationFailed
from app.tasks.parameters import Kind, whole_number
from app.tasks.query import pairs

BIGGEST_REVISION: Final = 2**63 - 1
DEFAULT_LIMIT: Final = 500
MAXIMUM_LIMIT: Final = 5000
"""More than lists have: each page of a first copy looks at all of the user's tasks."""


class Since(Struct, frozen=True):
    """Changes after the revision `since`, at most `limit` of them.

    `snapshot` is the revision at which the first page of a copy from nothing was read, 0 for any other page. A later
    page of such a copy needs no deletion from before it, and may begin below `users.floor`.
    """

    since: int = 0
    limit: int = DEFAULT_LIMIT
    snapshot: int = 0

    def next_page(self, last: int, revision: int) -> str:
        """Return the query string for what comes after the revision `last`; the user's is `revision`."""
        following = {"since": last, "limit": self.limit, "snapshot": self.snapshot or (0 if self.since else revision)}
        defaults = {"limit": DEFAULT_LIMIT, "snapshot": 0}
        return urlencode({name: value for name, value in following.items() if value != defaults.get(name)})


REVISION: Final = whole_number(0, BIGGEST_REVISION)
KINDS: Final[dict[str, Kind]] = {
    "since": REVISION,
    "limit": whole_number(1, MAXIMUM_LIMIT),
    "snapshot": REVISION,
}
DESCRIPTIONS: Final = {
    "since": "The `revision` that the client has come to; 0 or none is a copy of everything.",
    "limit": f"Changes on a page, deletions included; {DEFAULT_LIMIT} by default.",
    "snapshot": "Stands in `next` where it is needed; not for clients to choose.",
}


def parse(query_string: bytes) -> Since:
    """Read a raw query string. Raises ValidationFailed, naming each wrong parameter; unknown ones are ignored."""
    values: dict[str, Any] = {}
    broken: list[FieldError] = []
    for name, text in pairs(query_string):
        if name not in KINDS:
            continue
        try:
            value = KINDS[name].read(text)
            if values.setdefault(name, value) != value:
                raise ValueError("Given more than once")
        except ValueError as error:
            broken.append(FieldError(name, str(error)))
    if broken:
        raise ValidationFailed(broken)
    return Since(**values)


def schema(name: str) -> Schema:
    """Return the schema of a parameter."""
    return KINDS[name].schema

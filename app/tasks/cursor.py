"""Every order that a list can have, and the keyset cursor: the place after one task in such an order.

Cursors are opaque to clients, and harmless when forged.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, Self, get_args

import sqlalchemy as sa
from msgspec import MsgspecError, Struct, convert, json

from app.models import TASKS
from app.tasks import rules

Order = Literal["asc", "desc"]
ORDERS: Final[tuple[str, ...]] = get_args(Order)


class Sort(NamedTuple):
    """An order: `key_type` is the type of the sort key as a task's JSON has it, `key` turns the column into it.

    `has_gaps` tells whether tasks in such a list may be without a key.
    """

    column: sa.Column[Any]
    natural: Order
    key_type: Any
    key: Callable[[sa.ColumnElement[Any]], sa.ColumnElement[Any]] = lambda column: column
    has_gaps: bool = False


SORTS: Final = {
    "created": Sort(TASKS.c.created_at, "desc", datetime),
    "updated": Sort(TASKS.c.revision, "desc", int),
    "due_date": Sort(TASKS.c.due_date, "asc", datetime | None, has_gaps=True),
    "priority": Sort(TASKS.c.priority, "desc", str),
    "title": Sort(TASKS.c.title, "asc", str, sa.func.lower),
    "deleted": Sort(TASKS.c.deleted_at, "desc", datetime),
}
DEFAULT_SORT: Final = "created"
OF_TRASH: Final = "deleted"
"""The order of deleted tasks, unless they are asked for in another one; no other list has it."""

MAXIMUM_LENGTH: Final = 2048
BIGGEST_INTEGER: Final = 2**63 - 1


class Cursor(Struct, frozen=True, array_like=True):
    """Where a page ended: the sort, its order, the last task's sort key as the column stores it, and its id."""

    sort: str
    order: str
    key: datetime | int | str | None
    id: int

    @classmethod
    def decode(cls, text: str) -> Self:
        """Read what `encode` wrote. Raises ValueError for anything else."""
        try:
            if len(text) > MAXIMUM_LENGTH:
                raise ValueError
            sort, order, key, task_id = json.decode(
                urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=tuple[str, str, Any, int]
            )
            key = convert(key, SORTS[sort].key_type)
            if order not in ORDERS or not _storable(key) or not 0 < task_id <= BIGGEST_INTEGER:
                raise ValueError
            return cls(sort, order, rules.priority(key) if sort == "priority" else key, task_id)
        except (MsgspecError, ValueError, KeyError, RecursionError):
            raise ValueError("Is not a cursor of this list") from None


def encode(sort: str, order: str, key_and_id: str) -> str:
    """Write a cursor from the JSON array `[key, id]` that the database made of a page's last task."""
    text = f'["{sort}","{order}",{key_and_id[1:]}'
    return urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _storable(key: object) -> bool:
    match key:
        case str():
            return "\x00" not in key
        case int():
            return abs(key) <= BIGGEST_INTEGER
        case datetime():
            return key.tzinfo is not None and rules.EARLIEST <= key <= rules.LATEST
    return key is None

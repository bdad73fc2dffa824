"""Every order that a list can have, told once: its column, its natural direction and the key that a cursor holds."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, get_args

import sqlalchemy as sa

from app.models import TASKS

Order = Literal["asc", "desc"]
ORDERS: Final[tuple[str, ...]] = get_args(Order)


class Sort(NamedTuple):
    """An order: `key_type` is the type of the sort key as a task's JSON has it, `key` turns the column into it."""

    column: sa.Column[Any]
    natural: Order
    key_type: Any
    key: Callable[[sa.ColumnElement[Any]], sa.ColumnElement[Any]] = lambda column: column


SORTS: Final = {
    "created": Sort(TASKS.c.created_at, "desc", datetime),
    "updated": Sort(TASKS.c.revision, "desc", int),
    "due_date": Sort(TASKS.c.due_date, "asc", datetime | None),
    "priority": Sort(TASKS.c.priority, "desc", str),
    "title": Sort(TASKS.c.title, "asc", str, sa.func.lower),
}
DEFAULT_SORT: Final = "created"

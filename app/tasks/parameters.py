"""Every parameter of a list, told once: how its text is read, what it selects, and what the documentation says."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from litestar.openapi.spec import Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from sqlalchemy.dialects.postgresql import ARRAY

from app.models import TASKS
from app.tasks import rules
from app.tasks.cursor import DEFAULT_SORT, ORDERS, SORTS, Cursor

MAXIMUM_LIMIT: Final = 1000
MAXIMUM_OFFSET: Final = 1_000_000
SEARCH_LENGTH: Final = 200
WHOLE_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,9}")
OFFSET_SIGN_LOST: Final = re.compile(r"(T[0-9:.]+) (\d{2}:\d{2})")

Column = sa.ColumnElement[Any]
Columns = Any
Read = Callable[[str], Any]


class Parameter(NamedTuple):
    """A parameter: `read` returns its value, None for none, or raises ValueError with a sentence about the text."""

    read: Read
    description: str
    schema: Schema


class Filter(NamedTuple):
    """A parameter that selects tasks: `condition` compares their columns with its value, bound as `type_`.

    Of a `repeatable` one the values come together as a sorted tuple.
    """

    read: Read
    description: str
    schema: Schema
    type_: Any
    condition: Callable[[Columns, Column], sa.ColumnElement[bool]]
    repeatable: bool = False


def _one_of(choices: dict[str, Any], default: str | None = None) -> tuple[Read, Schema]:
    def read(text: str) -> Any:
        if text not in choices:
            raise ValueError(f"Must be one of {', '.join(choices)}")
        return choices[text]

    return read, Schema(type=OpenAPIType.STRING, enum=list(choices), default=default)


def _whole_number(low: int, high: int, default: int) -> tuple[Read, Schema]:
    def read(text: str) -> int:
        if not WHOLE_NUMBER.fullmatch(text) or not low <= int(text) <= high:
            raise ValueError(f"Must be a whole number from {low} to {high}")
        return int(text)

    return read, Schema(type=OpenAPIType.INTEGER, minimum=low, maximum=high, default=default)


def _text(low: int, high: int) -> tuple[Read, Schema]:
    def read(text: str) -> str | None:
        if not low <= len(text) <= high or "\x00" in text:
            raise ValueError(f"Must be {low} to {high} characters without NUL")
        return text or None

    return read, Schema(type=OpenAPIType.STRING, min_length=low, max_length=high, pattern=rules.NO_NUL)


def _moment(text: str) -> datetime | None:
    """Read a due date; a `+` before the offset that the client forgot to escape arrives as a space."""
    return rules.due_date(OFFSET_SIGN_LOST.sub(r"\1+\2", text))


def _several(schema: Schema) -> Schema:
    return Schema(type=OpenAPIType.ARRAY, items=schema)


def _contains(text: Column, sought: Column) -> sa.ColumnElement[bool]:
    return sa.func.strpos(sa.func.lower(text), sa.func.lower(sought)) > sa.literal_column("0")


STATUS, STATUS_SCHEMA = _one_of({"all": None, "pending": False, "completed": True}, "all")
TAG, _ = _text(1, rules.TAG_LENGTH)
SEARCH, SEARCH_SCHEMA = _text(0, SEARCH_LENGTH)
MOMENT: Final = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.DATE_TIME, examples=["2026-12-01T10:00:00Z"])

FILTERS: Final[dict[str, Filter]] = {
    "status": Filter(
        STATUS,
        "Only tasks that are still to do, or done.",
        STATUS_SCHEMA,
        TASKS.c.completed.type,
        lambda column, value: column.completed == value,
    ),
    "priority": Filter(
        rules.priority,
        "Only these priorities, in any case; repeat it for several.",
        _several(Schema(type=OpenAPIType.STRING, enum=list(reversed(rules.PRIORITIES)))),
        ARRAY(TASKS.c.priority.type),
        lambda column, value: column.priority == sa.any_(value),
        repeatable=True,
    ),
    "tag": Filter(
        TAG,
        "Only tasks with this tag; repeated, with all of them.",
        _several(rules.TAG),
        TASKS.c.tags.type,
        lambda column, value: column.tags.contains(value),
        repeatable=True,
    ),
    "search": Filter(
        SEARCH,
        "Only tasks with this text in title or description.",
        SEARCH_SCHEMA,
        sa.Text(),
        lambda column, value: sa.or_(_contains(column.title, value), _contains(column.description, value)),
    ),
    "due_after": Filter(
        _moment,
        "Only tasks due at this moment or later; a date is its start in UTC.",
        MOMENT,
        TASKS.c.due_date.type,
        lambda column, value: column.due_date >= value,
    ),
    "due_before": Filter(
        _moment,
        "Only tasks due before this moment; a date is its start in UTC.",
        MOMENT,
        TASKS.c.due_date.type,
        lambda column, value: column.due_date < value,
    ),
}

SORT, SORT_SCHEMA = _one_of({name: name for name in SORTS}, DEFAULT_SORT)
ORDER, ORDER_SCHEMA = _one_of({name: name for name in ORDERS})
LIMIT, LIMIT_SCHEMA = _whole_number(1, MAXIMUM_LIMIT, MAXIMUM_LIMIT)
OFFSET, OFFSET_SCHEMA = _whole_number(0, MAXIMUM_OFFSET, 0)

PARAMETERS: Final[dict[str, Parameter | Filter]] = {
    **FILTERS,
    "sort": Parameter(SORT, "What to order by; `updated` goes by the revision.", SORT_SCHEMA),
    "order": Parameter(
        ORDER,
        "Default is the natural one: newest, latest change, soonest, highest, A to Z. No due date comes last.",
        ORDER_SCHEMA,
    ),
    "limit": Parameter(LIMIT, "Tasks on a page.", LIMIT_SCHEMA),
    "offset": Parameter(OFFSET, "Tasks to skip; a cursor is faster.", OFFSET_SCHEMA),
    "cursor": Parameter(
        Cursor.decode,
        "Where the page before ended, from its Link header; sort and order have to be the same.",
        Schema(type=OpenAPIType.STRING, pattern="^[A-Za-z0-9_-]+$"),
    ),
}

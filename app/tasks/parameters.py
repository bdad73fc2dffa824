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
from app.tasks.cursor import DEFAULT_SORT, OF_TRASH, ORDERS, SORTS, Cursor

MAXIMUM_LIMIT: Final = 1000
MAXIMUM_OFFSET: Final = 1_000_000
SEARCH_LENGTH: Final = 200
WHOLE_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}")
OFFSET_SIGN_LOST: Final = re.compile(r"(T[0-9:.]+) (\d{2}:\d{2})")

Read = Callable[[str], Any]


class Kind(NamedTuple):
    """What a text may be: `read` returns its value, None for none, or raises ValueError with a sentence about it."""

    read: Read
    schema: Schema


class Parameter(NamedTuple):
    """A parameter. One with a `condition` selects tasks: it compares their columns with the value, bound as `type_`.

    A repeated one reads each of its texts as several values, and all of them come together as a sorted tuple.
    """

    description: str
    kind: Kind
    type_: Any = None
    condition: Callable[[Any, sa.ColumnElement[Any]], sa.ColumnElement[bool]] | None = None

    @property
    def is_repeated(self) -> bool:
        return self.kind.schema.type is OpenAPIType.ARRAY


def _one_of(choices: dict[str, Any]) -> Kind:
    def read(text: str) -> Any:
        if text not in choices:
            raise ValueError(f"Must be one of {', '.join(choices)}")
        return choices[text]

    return Kind(read, Schema(type=OpenAPIType.STRING, enum=list(choices)))


def whole_number(low: int, high: int) -> Kind:
    """Take a decimal number without sign or leading zeros, from `low` to `high`."""

    def read(text: str) -> int:
        if not WHOLE_NUMBER.fullmatch(text) or not low <= int(text) <= high:
            raise ValueError(f"Must be a whole number from {low} to {high}")
        return int(text)

    return Kind(read, Schema(type=OpenAPIType.INTEGER, minimum=low, maximum=high))


def _text(low: int, high: int) -> Kind:
    def read(text: str) -> str | None:
        if not low <= len(text) <= high or "\x00" in text:
            raise ValueError(f"Must be {low} to {high} characters without NUL")
        return text or None

    return Kind(read, Schema(type=OpenAPIType.STRING, min_length=low or None, max_length=high))


def _each(kind: Kind) -> Kind:
    """Take each text as one value."""
    return Kind(lambda text: (kind.read(text),), Schema(type=OpenAPIType.ARRAY, items=kind.schema))


def _separated(kind: Kind) -> Kind:
    """Take each text as values with commas between them."""

    def read(text: str) -> tuple[Any, ...]:
        values = [kind.read(part.strip()) for part in text.split(",")]
        return tuple(value for value in values if value is not None)

    return Kind(read, Schema(type=OpenAPIType.ARRAY, items=kind.schema))


def _moment(text: str) -> datetime | None:
    """Read a due date; a `+` before the offset that the client forgot to escape arrives as a space."""
    return rules.due_date(OFFSET_SIGN_LOST.sub(r"\1+\2", text))


def _contains(text: Any, sought: Any) -> sa.ColumnElement[bool]:
    return sa.func.strpos(sa.func.lower(text), sa.func.lower(sought)) > sa.literal_column("0")


DELETED: Final = "deleted"
"""The status that no column has: those who ask for it get the trash."""

STATUS: Final = _one_of({"all": None, "pending": False, "completed": True, DELETED: DELETED})
PRIORITY: Final = Kind(rules.priority, Schema(one_of=[rules.NAMED_PRIORITY]))
MOMENT: Final = Kind(
    _moment, Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.DATE_TIME, examples=["2026-12-01T10:00:00Z"])
)

PARAMETERS: Final[dict[str, Parameter]] = {
    "status": Parameter(
        "Only tasks that are still to do, or done; all by default. Or those that were deleted, with `deleted_at`.",
        STATUS,
        TASKS.c.completed.type,
        lambda column, value: column.completed == value,
    ),
    "priority": Parameter(
        "Only these priorities, in any case; repeat it for several.",
        _separated(PRIORITY),
        ARRAY(TASKS.c.priority.type),
        lambda column, value: column.priority == sa.any_(value),
    ),
    "tag": Parameter(
        "Only tasks with this tag; repeated, with all of them.",
        _each(_text(1, rules.TAG_LENGTH)),
        TASKS.c.tags.type,
        lambda column, value: column.tags.contains(value),
    ),
    "tags": Parameter(
        "Only tasks with any of these tags: repeat it, or separate them with commas.",
        _separated(_text(0, rules.TAG_LENGTH)),
        TASKS.c.tags.type,
        lambda column, value: column.tags.overlap(value),
    ),
    "search": Parameter(
        "Only tasks with this text in title or description, in any case.",
        _text(0, SEARCH_LENGTH),
        sa.Text(),
        lambda column, value: sa.or_(_contains(column.title, value), _contains(column.description, value)),
    ),
    "due_after": Parameter(
        f"Only tasks due at this moment or later; a date is its start in UTC. {rules.MOMENTS}",
        MOMENT,
        TASKS.c.due_date.type,
        lambda column, value: column.due_date >= value,
    ),
    "due_before": Parameter(
        f"Only tasks due before this moment; a date is its start in UTC. {rules.MOMENTS}",
        MOMENT,
        TASKS.c.due_date.type,
        lambda column, value: column.due_date < value,
    ),
    "sort": Parameter(
        f"What to order by, `{DEFAULT_SORT}` by default; `updated` goes by the revision. "
        f"`{OF_TRASH}` is for `status={DELETED}`, and the default there.",
        _one_of(dict(zip(SORTS, SORTS, strict=True))),
    ),
    "order": Parameter(
        "Default is the natural one: newest, latest change, soonest, highest, A to Z, latest deletion. "
        "No due date comes last.",
        _one_of(dict(zip(ORDERS, ORDERS, strict=True))),
    ),
    "limit": Parameter(f"Tasks on a page; {MAXIMUM_LIMIT} by default.", whole_number(1, MAXIMUM_LIMIT)),
    "offset": Parameter("Tasks to skip, none by default; a cursor is faster.", whole_number(0, MAXIMUM_OFFSET)),
    "cursor": Parameter(
        "Where the page before ended: opaque, from its Link header, for the same sort and order.",
        Kind(Cursor.decode, Schema(type=OpenAPIType.STRING)),
    ),
}
PAGE: Final = Parameter("Which page, from 1 on, of `limit` tasks each.", whole_number(1, MAXIMUM_OFFSET + 1))
"""Another way to say `offset`, for those who are used to it; not documented."""

FILTERS: Final = {name: each for name, each in PARAMETERS.items() if each.condition is not None}

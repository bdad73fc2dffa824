"""The list parameters: parsed strictly, once per distinct query string, into one hashable value."""

import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Literal, get_args
from urllib.parse import parse_qsl, urlencode

from msgspec import Struct

from app.errors import FieldError, ValidationFailed
from app.tasks import fields
from app.tasks.cursor import Cursor

Status = Literal["all", "pending", "completed"]
Sort = Literal["created", "updated", "due_date", "priority", "title"]
Order = Literal["asc", "desc"]

NATURAL_ORDER: Final[dict[str, Order]] = {
    "created": "desc",
    "updated": "desc",
    "due_date": "asc",
    "priority": "desc",
    "title": "asc",
}
MAXIMUM_LIMIT: Final = 1000
MAXIMUM_OFFSET: Final = 1_000_000
MAXIMUM_PARAMETERS: Final = 100
SEARCH_LENGTH: Final = 200
REMEMBERED_LENGTH: Final = 512
WHOLE_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,9}")
OFFSET_SIGN_LOST: Final = re.compile(r"(T[0-9:.]+) (\d{2}:\d{2})")


class ListQuery(Struct, frozen=True, kw_only=True):
    """Which tasks to list, in which order, from where on. Equal queries have equal answers at equal revisions."""

    status: Status = "all"
    priority: tuple[int, ...] = ()
    tag: tuple[str, ...] = ()
    search: str = ""
    due_after: datetime | None = None
    due_before: datetime | None = None
    sort: Sort = "created"
    order: Order = "desc"
    limit: int = MAXIMUM_LIMIT
    offset: int = 0
    cursor: Cursor | None = None


def parse(query_string: bytes) -> ListQuery:
    """Read a raw query string. Raises Problem (422) that names each wrong parameter; unknown ones are ignored."""
    return (_remembered if len(query_string) <= REMEMBERED_LENGTH else _parse)(query_string)


def _parse(query_string: bytes) -> ListQuery:
    values: dict[str, Any] = {}
    broken: list[FieldError] = []
    for name, raw in _pairs(query_string):
        if name not in PARSERS:
            continue
        try:
            value = PARSERS[name](raw)
            if name in REPEATABLE:
                value = (*values.get(name, ()), value)
            elif name in values:
                raise ValueError("Given more than once")
            values[name] = value
        except ValueError as error:
            broken.append(FieldError(name, str(error)))
    if not broken and (mismatch := _cursor_mismatch(values)):
        broken.append(mismatch)
    if broken:
        raise ValidationFailed(broken)
    for name in REPEATABLE & values.keys():
        values[name] = tuple(
            sorted(set(values[name]))
        )  # the order of filters changes nothing, so it must not split caches
    values.setdefault("order", NATURAL_ORDER[values.get("sort", "created")])
    return ListQuery(**values)


_remembered: Final = lru_cache(maxsize=4096)(_parse)


def from_cursor(query_string: bytes, cursor: str) -> str:
    """Return the query string of the same list from `cursor` on."""
    kept = [(name, value) for name, value in _pairs(query_string) if name not in {"cursor", "offset"}]
    return urlencode([*kept, ("cursor", cursor)])


def _pairs(query_string: bytes) -> list[tuple[str, str]]:
    """Decode a query string. Raises Problem (422) for what is not percent-encoded UTF-8."""
    try:
        return parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAXIMUM_PARAMETERS
        )
    except ValueError:
        raise ValidationFailed(
            [FieldError("query", "Must be at most 100 parameters in percent-encoded UTF-8")]
        ) from None


def _cursor_mismatch(values: dict[str, Any]) -> FieldError | None:
    cursor = values.get("cursor")
    if cursor is None:
        return None
    sort = values.get("sort", "created")
    if (cursor.sort, cursor.order) == (sort, values.get("order", NATURAL_ORDER[sort])):
        return None
    return FieldError("cursor", "Belongs to a list in another order")


def _choice(*allowed: str) -> Callable[[str], str]:
    def parse_choice(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"Must be one of {', '.join(allowed)}")
        return text

    return parse_choice


def _between(low: int, high: int) -> Callable[[str], int]:
    def parse_number(text: str) -> int:
        if not WHOLE_NUMBER.fullmatch(text) or not low <= int(text) <= high:
            raise ValueError(f"Must be a whole number from {low} to {high}")
        return int(text)

    return parse_number


def _text(low: int, high: int) -> Callable[[str], str]:
    def parse_text(text: str) -> str:
        if not low <= len(text) <= high or "\x00" in text:
            raise ValueError(f"Must be {low} to {high} characters without NUL")
        return text

    return parse_text


def _moment(text: str) -> datetime:
    """Read a due date; a `+` before the offset that the client forgot to escape arrives as a space."""
    moment = fields.due_date(OFFSET_SIGN_LOST.sub(r"\1+\2", text))
    assert moment is not None  # noqa: S101 - only None becomes None
    return moment


REPEATABLE: Final = {"priority", "tag"}
PARSERS: Final[dict[str, Callable[[str], Any]]] = {
    "status": _choice(*get_args(Status)),
    "priority": fields.priority,
    "tag": _text(1, fields.TAG_LENGTH),
    "search": _text(0, SEARCH_LENGTH),
    "due_after": _moment,
    "due_before": _moment,
    "sort": _choice(*get_args(Sort)),
    "order": _choice(*get_args(Order)),
    "limit": _between(1, MAXIMUM_LIMIT),
    "offset": _between(0, MAXIMUM_OFFSET),
    "cursor": Cursor.decode,
}

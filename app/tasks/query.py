"""A list's query string: read strictly, once per distinct one, into one hashable value."""

from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from msgspec import Struct

from app.errors import FieldError, ValidationFailed
from app.tasks.cursor import DEFAULT_SORT, SORTS, Cursor
from app.tasks.parameters import FILTERS, MAXIMUM_LIMIT, PARAMETERS

MAXIMUM_PARAMETERS: Final = 100
REMEMBERED_LENGTH: Final = 512


class ListQuery(Struct, frozen=True, kw_only=True):
    """Which tasks to list, in which order, from where on. Equal queries have equal answers at equal revisions.

    `filters` has those that select anything, in the order of FILTERS.
    """

    filters: tuple[tuple[str, Any], ...] = ()
    sort: str = DEFAULT_SORT
    order: str = SORTS[DEFAULT_SORT].natural
    limit: int = MAXIMUM_LIMIT
    offset: int = 0
    cursor: Cursor | None = None


def parse(query_string: bytes) -> ListQuery:
    """Read a raw query string. Raises ValidationFailed, naming each wrong parameter; unknown ones are ignored."""
    return (_remembered if len(query_string) <= REMEMBERED_LENGTH else _parse)(query_string)


def _parse(query_string: bytes) -> ListQuery:
    values: dict[str, Any] = {}
    broken: list[FieldError] = []
    for name, text in _pairs(query_string):
        parameter = PARAMETERS.get(name)
        if parameter is None:
            continue
        try:
            value = parameter.kind.read(text)
            if parameter.is_repeated:
                value = tuple(sorted({*values.get(name, ()), value}))  # an order that means nothing splits no cache
            elif name in values:
                raise ValueError("Given more than once")
            values[name] = value
        except ValueError as error:
            broken.append(FieldError(name, str(error)))
    if broken:
        raise ValidationFailed(broken)
    filters = tuple((name, values[name]) for name in FILTERS if values.get(name) is not None)
    rest = {name: value for name, value in values.items() if name not in FILTERS}
    rest.setdefault("order", SORTS[rest.get("sort", DEFAULT_SORT)].natural)
    query = ListQuery(filters=filters, **rest)
    if query.cursor is not None and (query.cursor.sort, query.cursor.order) != (query.sort, query.order):
        raise ValidationFailed([FieldError("cursor", "Belongs to a list in another order")])
    return query


_remembered: Final = lru_cache(maxsize=4096)(_parse)


def from_cursor(query_string: bytes, cursor: str) -> str:
    """Return the query string of the same list from `cursor` on."""
    kept = [(name, value) for name, value in _pairs(query_string) if name not in {"cursor", "offset"}]
    return urlencode([*kept, ("cursor", cursor)])


def _pairs(query_string: bytes) -> list[tuple[str, str]]:
    """Decode a query string. Raises ValidationFailed for what is not percent-encoded UTF-8."""
    try:
        return parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAXIMUM_PARAMETERS
        )
    except ValueError:
        message = f"Must be at most {MAXIMUM_PARAMETERS} parameters in percent-encoded UTF-8"
        raise ValidationFailed([FieldError("query", message)]) from None

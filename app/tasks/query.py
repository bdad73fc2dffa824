"""A list's query string: read strictly, once per distinct one, into one hashable value."""

from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from msgspec import Struct

from app.errors import FieldError, ValidationFailed
from app.tasks import aliases
from app.tasks.cursor import DEFAULT_SORT, OF_TRASH, SORTS, Cursor
from app.tasks.parameters import DELETED, FILTERS, MAXIMUM_LIMIT, MAXIMUM_OFFSET, PAGE, PARAMETERS

MAXIMUM_PARAMETERS: Final = 100
REMEMBERED_LENGTH: Final = 512
KNOWN: Final = {**PARAMETERS, "page": PAGE}
PLACES: Final = PARAMETERS.keys() - FILTERS.keys()
REPLACED_BY_CURSOR: Final = {"cursor", "offset", "page"}
NOTHING: Final[tuple[Any, ...]] = (None, ())
"""Values of filters that select nothing out."""


class ListQuery(Struct, frozen=True, kw_only=True):
    """Which tasks to list, in which order, from where on. Equal queries have equal answers at equal revisions.

    `filters` has those that select anything, in the order of FILTERS. The tasks of `trash` are the deleted ones.
    """

    trash: bool = False
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
    said: dict[str, str] = {}
    broken: list[FieldError] = []
    for written, text in pairs(query_string):
        try:
            for name, own_text in aliases.own_values(written, text):
                _take(values, said, name, own_text, written)
        except ValueError as error:
            broken.append(FieldError(written, str(error)))
    if broken:
        raise ValidationFailed(broken)
    if "page" in values:
        values["offset"] = _offset(values, said)
    trash = values.get("status") == DELETED
    if trash:
        del values["status"]
    elif values.get("sort") == OF_TRASH:
        raise ValidationFailed([FieldError(said["sort"], f"Must not be {OF_TRASH} without `status={DELETED}`")])
    filters = tuple((name, values[name]) for name in FILTERS if values.get(name) not in NOTHING)
    rest = {name: value for name, value in values.items() if name in PLACES}
    sort = rest.setdefault("sort", OF_TRASH if trash else DEFAULT_SORT)
    rest.setdefault("order", SORTS[sort].natural)
    query = ListQuery(trash=trash, filters=filters, **rest)
    if query.cursor is not None and (query.cursor.sort, query.cursor.order) != (query.sort, query.order):
        raise ValidationFailed([FieldError("cursor", "Belongs to a list in another order")])
    return query


def _take(values: dict[str, Any], said: dict[str, str], name: str, text: str, written: str) -> None:
    """Add what a parameter says to `values`; `said` has what clients call them. Raises ValueError."""
    parameter = KNOWN.get(name)
    if parameter is None:
        return
    value = parameter.kind.read(text)
    first = said.setdefault(name, written)
    if parameter.is_repeated:
        values[name] = tuple(sorted({*values.get(name, ()), *value}))  # an order that means nothing splits no cache
        if len(values[name]) > MAXIMUM_PARAMETERS:
            raise ValueError(f"Must be at most {MAXIMUM_PARAMETERS} values")
    elif values.setdefault(name, value) != value:
        raise ValueError("Given more than once" if first == written else f"Disagrees with `{first}`")


def _offset(values: dict[str, Any], said: dict[str, str]) -> int:
    """Return where the page begins. Raises ValidationFailed."""
    for other in ("offset", "cursor"):
        if other in values:
            raise ValidationFailed([FieldError(said["page"], f"Use either this or `{said[other]}`")])
    offset: int = (values["page"] - 1) * values.get("limit", MAXIMUM_LIMIT)
    if offset > MAXIMUM_OFFSET:
        raise ValidationFailed([FieldError(said["page"], f"Must not be beyond the first {MAXIMUM_OFFSET} tasks")])
    return offset


_remembered: Final = lru_cache(maxsize=4096)(_parse)


def from_cursor(query_string: bytes, cursor: str) -> str:
    """Return the query string of the same list from `cursor` on."""
    kept = [(name, value) for name, value in pairs(query_string) if aliases.own_name(name) not in REPLACED_BY_CURSOR]
    return urlencode([*kept, ("cursor", cursor)])


def pairs(query_string: bytes) -> list[tuple[str, str]]:
    """Decode a query string. Raises ValidationFailed for what is not percent-encoded UTF-8."""
    try:
        return parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAXIMUM_PARAMETERS
        )
    except ValueError:
        message = f"Must be at most {MAXIMUM_PARAMETERS} parameters in percent-encoded UTF-8"
        raise ValidationFailed([FieldError("query", message)]) from None

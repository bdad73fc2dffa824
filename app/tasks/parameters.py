"""The list parameters, as OpenAPI describes what `query` parses."""

from typing import Any, Final, get_args

from litestar.openapi.spec import Parameter, Schema
from litestar.openapi.spec.enums import OpenAPIType

from app.http.openapi import IF_NONE_MATCH
from app.tasks import fields, query


def _parameter(name: str, description: str, schema: Schema, **options: Any) -> Parameter:
    return Parameter(name=name, param_in="query", description=description, schema=schema, **options)


def _choice(values: Any, default: str | None) -> Schema:
    return Schema(type=OpenAPIType.STRING, enum=list(get_args(values)), default=default)


def _number(low: int, high: int, default: int) -> Schema:
    return Schema(type=OpenAPIType.INTEGER, minimum=low, maximum=high, default=default)


def _text(low: int, high: int) -> Schema:
    return Schema(type=OpenAPIType.STRING, min_length=low, max_length=high, pattern=fields.NO_NUL)


def _each(schema: Schema) -> Schema:
    return Schema(type=OpenAPIType.ARRAY, items=schema)


MOMENT: Final = Schema(type=OpenAPIType.STRING, pattern=fields.MOMENT_PATTERN, examples=["2026-12-01T10:00:00Z"])

LIST_PARAMETERS: Final = (
    _parameter("status", "Only tasks that are still to do, or done.", _choice(query.Status, "all")),
    _parameter(
        "priority",
        "Only these priorities, in any case; repeat it for several.",
        _each(Schema(type=OpenAPIType.STRING, pattern=fields.PRIORITY_PATTERN)),
        explode=True,
    ),
    _parameter(
        "tag", "Only tasks with this tag; repeated, with all of them.", _each(_text(1, fields.TAG_LENGTH)), explode=True
    ),
    _parameter("search", "Only tasks with this text in title or description.", _text(0, query.SEARCH_LENGTH)),
    _parameter("due_after", "Only tasks due at this moment or later; a date is its start in UTC.", MOMENT),
    _parameter("due_before", "Only tasks due before this moment; a date is its start in UTC.", MOMENT),
    _parameter("sort", "What to order by; `updated` goes by the revision.", _choice(query.Sort, "created")),
    _parameter(
        "order",
        "Default is the natural one: newest, latest change, soonest, highest, A to Z. No due date comes last.",
        _choice(query.Order, None),
    ),
    _parameter("limit", "Tasks on a page.", _number(1, query.MAXIMUM_LIMIT, query.MAXIMUM_LIMIT)),
    _parameter("offset", "Tasks to skip; a cursor is faster.", _number(0, query.MAXIMUM_OFFSET, 0)),
    _parameter(
        "cursor",
        "Where the page before ended, from its Link header; sort and order have to be the same.",
        Schema(type=OpenAPIType.STRING, pattern="^[A-Za-z0-9_-]+$"),
    ),
    IF_NONE_MATCH,
)

"""The rule of each field of a task that clients write, and beside it what the documentation says of the field."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from litestar.openapi.spec import Reference, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.params import BodyKwarg
from msgspec import DecodeError, ValidationError, convert, json

PRIORITIES: Final = ("LOW", "MEDIUM", "HIGH")
"""Stored as 1, 2, 3."""

DEFAULT_PRIORITY: Final = 2
TITLE_LENGTH: Final = 200
DESCRIPTION_LENGTH: Final = 1000
TAGS: Final = 20
TAG_LENGTH: Final = 50
EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(3000, 1, 1, tzinfo=UTC) - timedelta(microseconds=1)
WITHOUT_SECONDS: Final = re.compile(r"^([^T ]*[T ]\d\d:\d\d)(Z|[+-]\d\d:\d\d)?$", re.ASCII | re.IGNORECASE)
"""What an input of type datetime-local sends (HTML standard)."""

DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
NULL: Final = Schema(type=OpenAPIType.NULL)


def field(description: str, example: Any, **schema: Any) -> BodyKwarg:
    """Describe a field whose Python type says less, or more, than its JSON Schema should."""
    return BodyKwarg(description=description, schema_extra={"examples": [example], **schema})


def or_null(kind: OpenAPIType) -> dict[str, Any]:
    """Return the schema of a type or null."""
    return {"one_of": None, "type": [kind, OpenAPIType.NULL]}


def title(value: str) -> str:
    """Trim; 1 to 200 characters remain."""
    trimmed = _storable(value.strip())
    if not trimmed:
        raise ValueError("Must not be blank")
    if len(trimmed) > TITLE_LENGTH:
        raise ValueError(f"Must be at most {TITLE_LENGTH} characters")
    return trimmed


TITLE: Final = field(
    f"1 to {TITLE_LENGTH} characters after trimming; never blank.",
    "Buy milk",
    min_length=1,
    max_length=TITLE_LENGTH,
)


def description(value: str | None) -> str | None:
    """At most 1,000 characters, kept as they are."""
    if value is not None and len(_storable(value)) > DESCRIPTION_LENGTH:
        raise ValueError(f"Must be at most {DESCRIPTION_LENGTH} characters")
    return value


DESCRIPTION: Final = field(
    f"At most {DESCRIPTION_LENGTH} characters; null is none.",
    "Two litres, the one with the blue cap",
    max_length=DESCRIPTION_LENGTH,
    **or_null(OpenAPIType.STRING),
)


def priority(value: str | int | None) -> int:
    """Turn HIGH, MEDIUM or LOW in any case into the stored 3, 2 or 1; null is the default."""
    if value is None:
        return DEFAULT_PRIORITY
    if not isinstance(value, str) or value.upper() not in PRIORITIES:
        raise ValueError("Must be HIGH, MEDIUM or LOW")
    return PRIORITIES.index(value.upper()) + 1


NAMED_PRIORITY: Final = Reference("#/components/schemas/Priority")
"""One enum for answers, bodies and filters, so that generated clients have one type; `app.tasks.openapi` adds it."""

PRIORITY: Final = field(
    "Any case is accepted; absent on create, or null, it is `MEDIUM`.", "MEDIUM", one_of=[NAMED_PRIORITY, NULL]
)
PRIORITY_WRITTEN: Final = BodyKwarg(schema_extra={"one_of": [NAMED_PRIORITY]})


def tags(value: list[str] | str | None) -> list[str]:
    """Read an array, a JSON array in a string, or comma-separated text; at most 20 tags of 1 to 50 characters."""
    tags = _split(value) if isinstance(value, str) else value or []
    if len(tags) > TAGS:
        raise ValueError(f"Must be at most {TAGS} tags")
    if any(not 1 <= len(_storable(tag)) <= TAG_LENGTH for tag in tags):
        raise ValueError(f"Must be tags of 1 to {TAG_LENGTH} characters")
    return tags


TAG: Final = Schema(type=OpenAPIType.STRING, min_length=1, max_length=TAG_LENGTH)
TAG_LIST: Final = field(
    f"At most {TAGS} tags of 1 to {TAG_LENGTH} characters; null is none. Comma-separated text, or a JSON "
    "array in a string, is accepted as well.",
    ["home"],
    items=TAG,
    max_items=TAGS,
    **or_null(OpenAPIType.ARRAY),
)


def due_date(value: str | None) -> datetime | None:
    """Read RFC 3339; without an offset it is UTC. Years 1900 to 2999, for the driver makes extreme ones infinite."""
    if value is None:
        return None
    try:
        if DATE.fullmatch(value):
            day = convert(value, date)
            moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
        else:
            moment = convert(WITHOUT_SECONDS.sub(r"\1:00\2", value), datetime)
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValidationError, OverflowError):
        raise ValueError("Must be an RFC 3339 date-time or a date") from None
    if not EARLIEST <= moment <= LATEST:
        raise ValueError("Must be in the years 1900 to 2999")
    return moment


MOMENTS: Final = "Years 1900 to 2999, without leap seconds."
DUE_DATE: Final = field(
    f"RFC 3339 date-time, or a date; without an offset it is UTC. {MOMENTS} Null is none.",
    "2026-12-01T10:00:00+00:00",
    format=OpenAPIFormat.DATE_TIME,
    **or_null(OpenAPIType.STRING),
)


COMPLETED: Final = field("Absent, it is false.", False)
DELETED_AT: Final = BodyKwarg(description="When the task was deleted; only where deleted tasks are listed.")


def _split(text: str) -> list[str]:
    if text.lstrip().startswith("["):
        try:
            return json.decode(text, type=list[str])
        except (DecodeError, RecursionError):
            raise ValueError("Must be an array of strings") from None
    return [tag.strip() for tag in text.split(",") if tag.strip()]


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("Must not contain NUL characters")
    return text

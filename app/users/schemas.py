from datetime import datetime

from msgspec import Struct


class Counts(Struct):
    """How many tasks the user has."""

    total: int
    pending: int
    completed: int


class Profile(Struct):
    """The caller: email and name as the token gives them, the rest as the database knows it."""

    id: str
    email: str | None
    name: str | None
    first_seen_at: datetime | None
    revision: int
    counts: Counts


class Stats(Struct):
    """The user's tasks in numbers; `overdue` is pending with a due date in the past."""

    total: int
    pending: int
    completed: int
    overdue: int
    by_priority: dict[str, int]

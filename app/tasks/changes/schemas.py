from datetime import datetime

from msgspec import Struct

from app.tasks.schemas import TaskFields


class ChangedTask(TaskFields):
    """A task as it was after its last write; with `deleted_at` it exists no more."""

    deleted_at: datetime | None


class ChangeList(Struct):
    """A page of changes, the revision that it brings a client to, and the path of the next page if there is one."""

    changes: list[ChangedTask]
    revision: int
    next: str | None

from datetime import datetime
from typing import Annotated, ClassVar, Final

from msgspec import UNSET, Struct, UnsetType

from app.http.body import Body, Check
from app.tasks import key, rules

CHECKS: Final = {
    "title": rules.title,
    "description": rules.description,
    "priority": rules.priority,
    "tags": rules.tags,
    "due_date": rules.due_date,
}


class TaskFields(Struct):
    """What is told of any task."""

    id: int
    uid: Annotated[str, key.UID_WRITTEN]
    user_id: str
    title: str
    description: str | None
    priority: Annotated[str, rules.PRIORITY_WRITTEN]
    tags: list[str]
    due_date: datetime | None
    completed: bool
    created_at: datetime
    updated_at: datetime
    revision: int


class Task(TaskFields):
    """A task, as every answer writes it."""

    deleted_at: Annotated[datetime | UnsetType, rules.DELETED_AT] = UNSET


class TaskCreate(Body):
    """A new task; only the title is required."""

    checks: ClassVar[dict[str, Check]] = {**CHECKS, "uid": key.uid}

    title: Annotated[str, rules.TITLE]
    uid: Annotated[str | None, key.UID_FIELD] = None
    description: Annotated[str | None, rules.DESCRIPTION] = None
    priority: Annotated[str | None, rules.PRIORITY] = None
    tags: Annotated[list[str] | str | None, rules.TAG_LIST] = None
    due_date: Annotated[str | None, rules.DUE_DATE] = None
    completed: Annotated[bool, rules.COMPLETED] = False


class TaskUpdate(Body):
    """The fields to change: an absent one stays as it is, null clears one that can be empty."""

    checks: ClassVar[dict[str, Check]] = CHECKS  # type: ignore[assignment]

    title: Annotated[str | UnsetType, rules.TITLE] = UNSET
    description: Annotated[str | UnsetType | None, rules.DESCRIPTION] = UNSET
    priority: Annotated[str | UnsetType | None, rules.PRIORITY] = UNSET
    tags: Annotated[list[str] | str | UnsetType | None, rules.TAG_LIST] = UNSET
    due_date: Annotated[str | UnsetType | None, rules.DUE_DATE] = UNSET
    completed: bool | UnsetType = UNSET


class Completion(Body):
    """Whether the task is done; without `completed`, the opposite of what it was."""

    completed: bool | UnsetType = UNSET

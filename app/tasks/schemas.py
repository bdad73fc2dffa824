from datetime import datetime
from typing import Annotated, ClassVar, Final

from msgspec import UNSET, Struct, UnsetType

from app.http.body import Body, Rule
from app.tasks import fields

RULES: Final = {
    "title": fields.title,
    "description": fields.description,
    "priority": fields.priority,
    "tags": fields.tags,
    "due_date": fields.due_date,
}


class Task(Struct):
    """A task, as every answer writes it."""

    id: int
    user_id: str
    title: str
    description: str | None
    priority: str
    tags: list[str]
    due_date: datetime | None
    completed: bool
    created_at: datetime
    updated_at: datetime
    revision: int


class TaskCreate(Body):
    """A new task; only the title is required."""

    rules: ClassVar[dict[str, Rule]] = RULES  # type: ignore[assignment]

    title: Annotated[str, fields.TITLE]
    description: Annotated[str | None, fields.DESCRIPTION] = None
    priority: Annotated[str | None, fields.PRIORITY] = None
    tags: Annotated[list[str] | str | None, fields.TAGS_SCHEMA] = None
    due_date: Annotated[str | None, fields.DUE_DATE] = None
    completed: bool = False


class TaskUpdate(Body):
    """The fields to change: an absent one stays as it is, null clears one that can be empty."""

    rules: ClassVar[dict[str, Rule]] = RULES  # type: ignore[assignment]

    title: Annotated[str | UnsetType, fields.TITLE] = UNSET
    description: Annotated[str | UnsetType | None, fields.DESCRIPTION] = UNSET
    priority: Annotated[str | UnsetType | None, fields.PRIORITY] = UNSET
    tags: Annotated[list[str] | str | UnsetType | None, fields.TAGS_SCHEMA] = UNSET
    due_date: Annotated[str | UnsetType | None, fields.DUE_DATE] = UNSET
    completed: bool | UnsetType = UNSET


class Completion(Body):
    """Whether the task is done; without `completed`, the opposite of what it was."""

    completed: bool | UnsetType = UNSET

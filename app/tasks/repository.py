"""The only place that knows how tasks are stored. Every method names the user, and reaches that user's rows only."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import asyncpg
import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.database import Database
from app.models import Task
from app.settings import PriorityCase
from app.tasks import cursor, listing
from app.tasks.errors import StaleRevision, TaskNotFound
from app.tasks.list_cache import ListCache, Page
from app.tasks.query import ListQuery
from app.tasks.statements import TaskStatements

NOTHING_GIVEN: Final = dict.fromkeys(("title", "description", "priority", "tags", "due_date", "completed"))


class StoredTask(Struct, frozen=True):
    """A task as the database wrote it: its revision, its JSON text (None where the client has it) and its id."""

    revision: int
    body: str | None
    id: int | None = None


class TaskRepository:
    """Each method runs one statement."""

    def __init__(self, database: Database, *, priority_case: PriorityCase, cache_bytes: int) -> None:
        self._database = database
        self._sql = TaskStatements(priority_case)
        self._pages = ListCache(cache_bytes)

    async def page(self, user_id: str, query: ListQuery, known: Sequence[int] = ()) -> Page:
        """Return one page of the user's list; its body is left out if the user's revision is among `known`."""
        cached = self._pages.get(user_id, query)
        held = [*known, cached.revision] if cached else known
        record = await self._database.fetch(
            self._sql.page(query), {**listing.arguments(query), "user_id": user_id, "known": held}
        )
        if record is None:  # the user has never written, or is erased
            self._pages.drop(user_id, query)
            return Page(0, b"[]")
        revision, contents = record
        if cached and cached.revision == revision:
            return cached
        if contents is None:
            return Page(revision, None)
        body, following = contents
        next_cursor = following and cursor.encode(query.sort, query.order, following)
        page = Page(revision, body.encode(), next_cursor)
        self._pages.put(user_id, query, page)
        return page

    async def get_one_of(self, user_id: str, task_id: int, known: Sequence[int] = ()) -> StoredTask:
        """Return a task; its body is left out if its revision is among `known`. Raises TaskNotFound."""
        record = await self._database.fetch(self._sql.get, {"user_id": user_id, "task_id": task_id, "known": known})
        if record is None:
            raise TaskNotFound
        return StoredTask(record["revision"], record["body"])

    async def create(self, user_id: str, values: Mapping[str, Any]) -> StoredTask:
        """Store a new task with these column values."""
        record = await self._database.fetch(self._sql.create, {"user_id": user_id, **values})
        assert record is not None  # noqa: S101 - INSERT … RETURNING has a row or raises
        return StoredTask(record["revision"], record["body"], record["id"])

    async def change(
        self, user_id: str, task_id: int, values: Mapping[str, Any], if_match: Sequence[int] | None = None
    ) -> StoredTask:
        """Write the given column values and leave the others. Raises TaskNotFound, StaleRevision."""
        if not values:
            return await self._unchanged(user_id, task_id, if_match)
        parameters = {
            **NOTHING_GIVEN,
            **values,
            "description_given": "description" in values,
            "due_date_given": "due_date" in values,
            "user_id": user_id,
            "task_id": task_id,
            "if_match": if_match,
        }
        return _written(await self._database.fetch(self._sql.update, parameters), if_match)

    async def complete(
        self, user_id: str, task_id: int, completed: bool | None, if_match: Sequence[int] | None = None
    ) -> StoredTask:
        """Set whether the task is done, or flip it with None. Raises TaskNotFound, StaleRevision."""
        key = {"user_id": user_id, "task_id": task_id, "if_match": if_match}
        return _written(await self._database.fetch(self._sql.complete, {**key, "completed": completed}), if_match)

    async def remove(self, user_id: str, task_id: int, if_match: Sequence[int] | None = None) -> None:
        """Turn the task into a tombstone. Raises TaskNotFound, StaleRevision."""
        key = {"user_id": user_id, "task_id": task_id, "if_match": if_match}
        _written(await self._database.fetch(self._sql.delete, key), if_match)

    async def erase_all_of(self, session: AsyncSession, user_id: str) -> None:
        """Delete every task of the user, tombstones too; part of the caller's transaction."""
        await session.execute(sa.delete(Task).where(Task.user_id == user_id))

    async def _unchanged(self, user_id: str, task_id: int, if_match: Sequence[int] | None) -> StoredTask:
        task = await self.get_one_of(user_id, task_id)
        if if_match is not None and task.revision not in if_match:
            raise StaleRevision
        return task


def _written(record: asyncpg.Record | None, if_match: Sequence[int] | None) -> StoredTask:
    assert record is not None  # noqa: S101 - the statement answers with a row in every case
    if record["revision"] is None:
        raise StaleRevision if record["present"] and if_match is not None else TaskNotFound
    return StoredTask(record["revision"], record["body"])

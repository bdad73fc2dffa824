"""How requests read and write tasks: one statement a call. Every method names the user, and reaches no other's rows."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import sqlalchemy as sa
from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from msgspec import Struct

from app.db.database import Database
from app.db.names import comment
from app.http.compression import SMALLEST, Coding
from app.models import Moved, Task, TaskChange, unheard
from app.tasks import cursor, listing, purge
from app.tasks.errors import IdempotencyKeyReused, StaleRevision, TaskDeleted, TaskNotFound
from app.tasks.fingerprint import fingerprint
from app.tasks.key import TaskKey
from app.tasks.list_cache import ListCache, Page
from app.tasks.one_task import update_values
from app.tasks.purge import Purged, Tombstones
from app.tasks.query import ListQuery
from app.tasks.statements import statements


class StoredTask(Struct, frozen=True):
    """A task as the database wrote it: its revision, its JSON text (None where the client has it) and its id.

    `replayed` tells that a create found it there.
    """

    revision: int
    body: str | None
    id: int | None = None
    replayed: bool = False


class TaskRepository(SQLAlchemyAsyncRepository[Task]):
    """Tasks within one transaction; what is inherited is confined to a user by its filters only."""

    model_type = Task

    async def erase(self, user_id: str) -> None:
        """Delete every task of the user, tombstones too, and the log of changes.

        The inherited `delete_where` would read them all first, and fail where their number changes in between.
        """
        for model in (Task, TaskChange):
            deletion = sa.delete(model).prefix_with(comment("users.erase")).where(model.user_id == user_id)
            await self.session.execute(deletion)

    async def tombstones(
        self, before: datetime, *, user_id: str | None = None, after: str = "", limit: int
    ) -> list[tuple[str, Tombstones]]:
        """Count what was deleted before that moment: of one user, or of the next users whose id is above `after`."""
        values = (
            {"before": before, "user_id": user_id} if user_id else {"before": before, "after": after, "limit": limit}
        )
        rows = await self.session.execute(purge.OF_USER if user_id else purge.OF_NEXT_USERS, values)
        return [(row.user_id, Tombstones(row.tasks, row.uids)) for row in rows]

    async def purge(self, user_id: str, before: datetime, limit: int) -> Purged:
        """Remove the oldest tombstones of the user from before that moment, `limit` at most."""
        rows = await self.session.execute(purge.PURGE, {"user_id": user_id, "before": before, "limit": limit})
        row = rows.one()
        return Purged(row.tasks, row.uids, row.found)


class TaskStore:
    """Runs the statements; `priority_names` are written for the stored 1, 2 and 3, lists within `envelope`.

    `moved` is told of the revision that a write has given to its user.
    """

    def __init__(
        self,
        database: Database,
        *,
        priority_names: Sequence[str],
        cache_bytes: int,
        compress: bool = True,
        envelope: str | None = None,
        moved: Moved = unheard,
    ) -> None:
        self._fetch = database.fetch
        self._moved = moved
        self._sql = statements(tuple(priority_names), envelope)
        self.cache = ListCache(cache_bytes)
        self._compress = compress

    async def page(
        self, user_id: str, query: ListQuery, known: Sequence[int] = (), coding: Coding | None = None
    ) -> Page:
        """Return one page of the user's list, packed by `coding` if it is long.

        Its body is left out if the user's revision is among `known`.
        """
        coding = coding if self._compress else None
        key = (user_id, query, coding)
        cached = self.cache.get(key)
        held = [*known, cached.revision] if cached else known
        record = await self._fetch(
            self._sql.page(query), {**listing.arguments(query), "user_id": user_id, "known": held}
        )
        if record is None:  # the user has never written, or is erased
            self.cache.drop(key)
            return Page(0, None if 0 in known else self._sql.no_tasks)
        revision, contents = record["revision"], record["contents"]
        if revision in known:
            return Page(revision, None)
        if cached and cached.revision == revision:
            self.cache.results["hit"] += 1
            return cached
        self.cache.results["miss"] += 1
        body, following = contents
        next_cursor = following and cursor.encode(query.sort, query.order, following)
        page = Page(revision, body.encode(), next_cursor)
        if coding and len(body) >= SMALLEST:
            page = Page(revision, coding.pack(body.encode()), next_cursor, coding.name)
        self.cache.put(key, page)
        return page

    async def read(self, user_id: str, key: TaskKey, known: Sequence[int] = ()) -> StoredTask:
        """Return a task; its body is left out if its revision is among `known`. Raises TaskNotFound."""
        values = {"user_id": user_id, "task_key": key, "known": known}
        record = await self._fetch(self._sql.of(key).get, values)
        if record is None:
            raise TaskNotFound
        return StoredTask(record["revision"], record["body"])

    async def create(self, user_id: str, values: Mapping[str, Any]) -> StoredTask:
        """Store a new task with these column values."""
        record = await self._fetch(self._sql.create, {"user_id": user_id, **values})
        assert record is not None  # noqa: S101 - INSERT … RETURNING has a row or raises
        self._moved(user_id, record["revision"])
        return StoredTask(record["revision"], record["body"], record["id"])

    async def create_once(self, user_id: str, uid: str, values: Mapping[str, Any]) -> StoredTask:
        """Store a new task under a name of its client's, or return the one that was stored under it before.

        Raises IdempotencyKeyReused if that was created from other values, TaskDeleted if it has been deleted.
        """
        written = {**values, "user_id": user_id, "uid": uid, "fingerprint": fingerprint(values)}
        record = await self._fetch(self._sql.create_once, written)
        assert record is not None  # noqa: S101 - one of the two is there, or raises
        if record["created"]:
            self._moved(user_id, record["revision"])
        if not record["same"]:
            raise IdempotencyKeyReused
        if record["deleted"]:
            raise TaskDeleted
        return StoredTask(record["revision"], record["body"], record["id"], not record["created"])

    async def update(
        self, user_id: str, key: TaskKey, values: Mapping[str, Any], if_match: Sequence[int] | None = None
    ) -> StoredTask:
        """Write the given column values and leave the others. Raises TaskNotFound, StaleRevision."""
        if not values:
            return await self._unchanged(user_id, key, if_match)
        which = {"user_id": user_id, "task_key": key, "if_match": if_match}
        return self._written(await self._fetch(self._sql.of(key).update, {**update_values(values), **which}), which)

    async def complete(
        self, user_id: str, key: TaskKey, completed: bool | None, if_match: Sequence[int] | None = None
    ) -> StoredTask:
        """Set whether the task is done, or flip it with None. Raises TaskNotFound, StaleRevision."""
        which = {"user_id": user_id, "task_key": key, "if_match": if_match}
        return self._written(await self._fetch(self._sql.of(key).complete, {**which, "completed": completed}), which)

    async def delete(self, user_id: str, key: TaskKey, if_match: Sequence[int] | None = None) -> None:
        """Turn the task into a tombstone. Raises TaskNotFound, StaleRevision."""
        which = {"user_id": user_id, "task_key": key, "if_match": if_match}
        self._written(await self._fetch(self._sql.of(key).delete, which), which)

    async def restore(self, user_id: str, key: TaskKey, if_match: Sequence[int] | None = None) -> StoredTask:
        """Bring a deleted task back; one that is there stays as it is. Raises TaskNotFound, StaleRevision."""
        which = {"user_id": user_id, "task_key": key, "if_match": if_match}
        return self._written(await self._fetch(self._sql.of(key).restore, which), which)

    async def _unchanged(self, user_id: str, key: TaskKey, if_match: Sequence[int] | None) -> StoredTask:
        task = await self.read(user_id, key)
        if if_match is not None and task.revision not in if_match:
            raise StaleRevision
        return task

    def _written(self, record: asyncpg.Record | None, which: Mapping[str, Any]) -> StoredTask:
        assert record is not None  # noqa: S101 - the statement answers with a row in every case
        if record["revision"] is None:
            raise StaleRevision if record["present"] and which["if_match"] is not None else TaskNotFound
        self._moved(which["user_id"], record["revision"])
        return StoredTask(record["revision"], record["body"])

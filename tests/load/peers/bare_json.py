"""Bare ASGI + asyncpg + JSON made by PostgreSQL, one statement and one round trip each: the limit of this stack on
uvicorn. The pool's reset query, a second round trip, is left out: single statements leave nothing to reset.
"""

from datetime import datetime
from typing import Any, Final

import asyncpg

from tests.load.peers.bare import Application, Stored, TaskCreate, assignments

COLUMNS: Final = (
    "id, uid, user_id, title, description, priority, tags, due_date, completed, created_at, updated_at, revision"
)
ITS_TASK: Final = "WHERE user_id = $1 AND id = $2 AND deleted_at IS NULL"
AS_JSON: Final = "SELECT row_to_json(task)::text, revision FROM task"


def stored(row: asyncpg.Record | None) -> Stored | None:
    return None if row is None else Stored(row[0].encode(), row[1])


class JSONTasks:
    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def page(self, user_id: str, status: str, tag: str | None, limit: int) -> bytes:
        where, values = "user_id = $1 AND deleted_at IS NULL", [user_id, limit]
        if status != "all":
            where += f" AND completed = {status == 'completed'}"
        if tag is not None:
            where += " AND tags @> $3"
            values.append([tag])
        page = f"SELECT {COLUMNS} FROM tasks WHERE {where} ORDER BY created_at DESC, id DESC LIMIT $2"
        sql = f"SELECT '[' || coalesce(string_agg(row_to_json(task)::text, ','), '') || ']' FROM ({page}) task"
        body: str = await self._pool.fetchval(sql, *values)
        return body.encode()

    async def get(self, user_id: str, task_id: int) -> Stored | None:
        sql = f"WITH task AS (SELECT {COLUMNS} FROM tasks {ITS_TASK}) {AS_JSON}"
        return stored(await self._pool.fetchrow(sql, user_id, task_id))

    async def create(self, user_id: str, task: TaskCreate) -> Stored:
        sql = (
            "WITH task AS (INSERT INTO tasks (user_id, title, description, priority, tags, due_date, revision)"
            f" VALUES ($1, $2, $3, $4, $5, $6, 0) RETURNING {COLUMNS}) {AS_JSON}"
        )
        due_date = task.due_date and datetime.fromisoformat(task.due_date)
        row = await self._pool.fetchrow(sql, user_id, task.title, task.description, task.priority, task.tags, due_date)
        return Stored(row[0].encode(), row[1])

    async def update(self, user_id: str, task_id: int, changes: dict[str, Any]) -> Stored | None:
        sql = f"WITH task AS (UPDATE tasks SET {assignments(changes, 3)} {ITS_TASK} RETURNING {COLUMNS}) {AS_JSON}"
        return stored(await self._pool.fetchrow(sql, user_id, task_id, *changes.values()))

    async def toggle(self, user_id: str, task_id: int) -> Stored | None:
        sql = (
            "WITH task AS (UPDATE tasks SET completed = NOT completed, updated_at = now()"
            f" {ITS_TASK} RETURNING {COLUMNS}) {AS_JSON}"
        )
        return stored(await self._pool.fetchrow(sql, user_id, task_id))

    async def delete(self, user_id: str, task_id: int) -> bool:
        done: str = await self._pool.execute(f"UPDATE tasks SET deleted_at = now() {ITS_TASK}", user_id, task_id)
        return done == "UPDATE 1"


async def nothing(_: Any) -> None:
    """Leave a connection as it is."""


app = Application(JSONTasks, reset=nothing)

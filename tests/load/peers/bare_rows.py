"""Bare ASGI + asyncpg's pool + rows + msgspec Structs: what is left without any framework."""

from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec
from msgspec import Struct

from tests.load.peers.bare import Application, Stored, TaskCreate, assignments

COLUMNS: Final = (
    "id, uid, user_id, title, description, priority, tags, due_date, completed, created_at, updated_at, revision"
)
ITS_TASK: Final = "WHERE user_id = $1 AND id = $2 AND deleted_at IS NULL"


class Task(Struct):
    id: int
    uid: str | None
    user_id: str
    title: str
    description: str | None
    priority: int
    tags: list[str]
    due_date: datetime | None
    completed: bool
    created_at: datetime
    updated_at: datetime
    revision: int


def stored(row: asyncpg.Record | None) -> Stored | None:
    return None if row is None else Stored(msgspec.json.encode(Task(*row)), row["revision"])


class RowTasks:
    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def page(self, user_id: str, status: str, tag: str | None, limit: int) -> bytes:
        where, values = "user_id = $1 AND deleted_at IS NULL", [user_id, limit]
        if status != "all":
            where += f" AND completed = {status == 'completed'}"
        if tag is not None:
            where += " AND tags @> $3"
            values.append([tag])
        rows = await self._pool.fetch(
            f"SELECT {COLUMNS} FROM tasks WHERE {where} ORDER BY created_at DESC, id DESC LIMIT $2", *values
        )
        return msgspec.json.encode([Task(*row) for row in rows])

    async def get(self, user_id: str, task_id: int) -> Stored | None:
        return stored(await self._pool.fetchrow(f"SELECT {COLUMNS} FROM tasks {ITS_TASK}", user_id, task_id))

    async def create(self, user_id: str, task: TaskCreate) -> Stored:
        row = await self._pool.fetchrow(
            "INSERT INTO tasks (user_id, title, description, priority, tags, due_date, revision)"
            f" VALUES ($1, $2, $3, $4, $5, $6, 0) RETURNING {COLUMNS}",
            user_id,
            task.title,
            task.description,
            task.priority,
            task.tags,
            task.due_date and datetime.fromisoformat(task.due_date),
        )
        return Stored(msgspec.json.encode(Task(*row)), row["revision"])

    async def update(self, user_id: str, task_id: int, changes: dict[str, Any]) -> Stored | None:
        sql = f"UPDATE tasks SET {assignments(changes, 3)} {ITS_TASK} RETURNING {COLUMNS}"
        return stored(await self._pool.fetchrow(sql, user_id, task_id, *changes.values()))

    async def toggle(self, user_id: str, task_id: int) -> Stored | None:
        sql = f"UPDATE tasks SET completed = NOT completed, updated_at = now() {ITS_TASK} RETURNING {COLUMNS}"
        return stored(await self._pool.fetchrow(sql, user_id, task_id))

    async def delete(self, user_id: str, task_id: int) -> bool:
        done: str = await self._pool.execute(f"UPDATE tasks SET deleted_at = now() {ITS_TASK}", user_id, task_id)
        return done == "UPDATE 1"


app = Application(RowTasks)

"""What is known of a user as a whole. Every statement names the user, and reaches that user's rows only."""

from typing import Any, Final

import sqlalchemy as sa

from app.auth.caller import Caller
from app.db.database import Database
from app.db.statement import USER_ID, Statement
from app.models import USERS, Task, User
from app.settings import PriorityCase
from app.tasks.fields import PRIORITIES
from app.tasks.repository import TaskRepository

OF_USER: Final = sa.and_(Task.user_id == USER_ID, Task.deleted_at.is_(None))


class UserRepository:
    """Each method runs one statement, but for erasure, which is a transaction."""

    def __init__(self, database: Database, tasks: TaskRepository, *, priority_case: PriorityCase) -> None:
        self._database = database
        self._tasks = tasks
        self._profile = Statement.compile(_profile())
        self._stats = Statement.compile(_stats(priority_case))

    async def profile(self, caller: Caller) -> str:
        """Return the caller's profile as JSON text."""
        values = {"user_id": caller.id, "email": caller.email, "name": caller.name}
        return await self._text(self._profile, values)

    async def stats(self, user_id: str) -> str:
        """Return the user's tasks in numbers as JSON text."""
        return await self._text(self._stats, {"user_id": user_id})

    async def erase(self, user_id: str) -> None:
        """Delete every row of the user, in one transaction.

        The user's row goes first: it waits for writes under way, whose tasks the second statement then sees.
        """
        async with self._database.transaction() as session:
            await session.execute(sa.delete(User).where(User.id == user_id))
            await self._tasks.erase_all_of(session, user_id)

    async def _text(self, statement: Statement, values: dict[str, Any]) -> str:
        record = await self._database.fetch(statement, values)
        assert record is not None  # noqa: S101 - an aggregate without GROUP BY has one row
        return str(record[0])


def _count(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.count().filter(*conditions) if conditions else sa.func.count()


def _object(members: dict[str, sa.ColumnElement[Any]]) -> sa.ColumnElement[Any]:
    """Build a JSON object from literal keys and SQL values."""
    return sa.func.json_build_object(*(part for key, value in members.items() for part in (_literal(key), value)))


def _literal(text: str) -> sa.ColumnElement[str]:
    return sa.literal_column(f"'{text}'", sa.Text)


def _numbers() -> dict[str, sa.ColumnElement[Any]]:
    return {
        "total": _count(),
        "pending": _count(Task.completed.is_(sa.false())),
        "completed": _count(Task.completed.is_(sa.true())),
    }


def _profile() -> sa.Select[Any]:
    counts = sa.select(_object(_numbers())).where(OF_USER).scalar_subquery()
    always = sa.select(USER_ID.label("id")).subquery("always")
    members: dict[str, Any] = {
        "id": always.c.id,
        "email": sa.bindparam("email", type_=sa.Text),
        "name": sa.bindparam("name", type_=sa.Text),
        "first_seen_at": User.created_at,
        "revision": sa.func.coalesce(User.revision, sa.literal_column("0")),
        "counts": counts,
    }
    return sa.select(sa.cast(_object(members), sa.Text)).select_from(always.outerjoin(USERS, User.id == USER_ID))


def _stats(priority_case: PriorityCase) -> sa.Select[Any]:
    by_priority = {
        name.lower() if priority_case == "lower" else name: _count(Task.priority == sa.literal_column(str(number)))
        for number, name in reversed(list(enumerate(PRIORITIES, start=1)))
    }
    overdue = _count(Task.completed.is_(sa.false()), Task.due_date < sa.func.now())
    members = {**_numbers(), "overdue": overdue, "by_priority": _object(by_priority)}
    return sa.select(sa.cast(_object(members), sa.Text)).where(OF_USER)

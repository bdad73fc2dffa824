"""What is known of a user as a whole. Every statement names the user, and reaches that user's rows only."""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from sqlalchemy.dialects.postgresql import insert as upsert

from app.auth.caller import Caller
from app.db.database import Database
from app.db.names import comment
from app.db.statement import USER_ID, Statement
from app.models import TASKS, USERS, Moved, User, unheard
from app.tasks.repository import TaskRepository
from app.tasks.statements import FIRST_REVISION

EMAIL: Final = sa.bindparam("email", type_=sa.Text)
NAME: Final = sa.bindparam("name", type_=sa.Text)
OF_USER: Final = sa.and_(TASKS.c.user_id == USER_ID, TASKS.c.deleted_at.is_(None))


class UserRepository(SQLAlchemyAsyncRepository[User]):
    """Users within one transaction."""

    model_type = User

    async def advance(self, user_id: str, writes: int) -> int:
        """Raise the user's revision for so many new tasks, add the user where there is none, and return the last one.

        The row stays locked to the end of the transaction, so it comes before the tasks, as in every write.
        """
        row = upsert(User).values(id=user_id, revision=FIRST_REVISION + (writes - 1), tasks=writes)
        written = {"revision": USERS.c.revision + writes, "tasks": USERS.c.tasks + writes}
        raised = row.on_conflict_do_update(index_elements=["id"], set_=written)
        revision: int = await self.session.scalar(raised.returning(USERS.c.revision))
        return revision

    async def erase(self, user_id: str) -> int | None:
        """Delete the user's row, after the writes under way that hold it; further ones wait. Return its revision."""
        deletion = sa.delete(User).prefix_with(comment("users.erase")).where(User.id == user_id)
        revision: int | None = await self.session.scalar(deletion.returning(User.revision))
        return revision


class UserStore:
    """Runs one statement a call, but for erasure, which is a transaction."""

    def __init__(self, database: Database, *, priority_names: Sequence[str], erased: Moved = unheard) -> None:
        self._database = database
        self._erased = erased
        self._profile = Statement.compile("users.profile", _profile(), varying=(USER_ID, EMAIL, NAME))
        self._stats = Statement.compile("users.stats", _stats(priority_names), varying=(USER_ID,))

    async def profile(self, caller: Caller) -> str:
        """Return the caller's profile as JSON text."""
        values = {"user_id": caller.id, "email": caller.email, "name": caller.name}
        return await self._text(self._profile, values)

    async def stats(self, user_id: str) -> str:
        """Return the user's tasks in numbers as JSON text."""
        return await self._text(self._stats, {"user_id": user_id})

    async def erase(self, user_id: str) -> None:
        """Delete every row of the user, tombstones too, in one transaction.

        The user's row goes first: it waits for writes under way, whose tasks the second statement then sees.
        """
        async with self._database.transaction(user_id, name="users.erase") as session:
            revision = await UserRepository(session=session).erase(user_id)
            await TaskRepository(session=session).erase(user_id)
        if revision is not None:
            self._erased(user_id, revision)

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
        "pending": _count(TASKS.c.completed.is_(sa.false())),
        "completed": _count(TASKS.c.completed.is_(sa.true())),
    }


def _profile() -> sa.Select[Any]:
    counts = sa.select(_object(_numbers())).where(OF_USER).scalar_subquery()
    always = sa.select(USER_ID.label("id")).subquery("always")
    members: dict[str, Any] = {
        "id": always.c.id,
        "email": EMAIL,
        "name": NAME,
        "first_seen_at": USERS.c.created_at,
        "revision": sa.func.coalesce(USERS.c.revision, sa.literal_column("0")),
        "counts": counts,
    }
    return sa.select(sa.cast(_object(members), sa.Text)).select_from(always.outerjoin(USERS, USERS.c.id == USER_ID))


def _stats(priority_names: Sequence[str]) -> sa.Select[Any]:
    by_priority = {
        name: _count(TASKS.c.priority == sa.literal_column(str(number)))
        for number, name in reversed(list(enumerate(priority_names, start=1)))
    }
    overdue = _count(TASKS.c.completed.is_(sa.false()), TASKS.c.due_date < sa.func.now())
    members = {**_numbers(), "overdue": overdue, "by_priority": _object(by_priority)}
    return sa.select(sa.cast(_object(members), sa.Text)).where(OF_USER)

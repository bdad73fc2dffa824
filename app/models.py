"""The tables. Every write touches two: the task, and the user whose revision orders all writes."""

from collections.abc import Callable
from datetime import datetime
from typing import Final, cast

import sqlalchemy as sa
from advanced_alchemy.base import CommonTableAttributes
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

CONVENTION: Final = {
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "pk": "%(table_name)s_pkey",
    "ck": "%(table_name)s_%(constraint_name)s_check",
}


class Base(CommonTableAttributes, DeclarativeBase):
    """Base of every model; constraint names follow PostgreSQL's own, so that migrations are reproducible."""

    metadata = sa.MetaData(naming_convention=CONVENTION)


class User(Base):
    """A Better Auth user who has written at least once; holds the number that orders all of the user's writes.

    What changed since a revision below `floor` can no longer be told.
    """

    __tablename__ = "users"
    __table_args__ = {"postgresql_with": {"fillfactor": 50}}  # noqa: RUF012 - SQLAlchemy reads it from the class

    id: Mapped[str] = mapped_column(sa.Text, primary_key=True)
    revision: Mapped[int] = mapped_column(sa.BigInteger, server_default=sa.text("0"))
    floor: Mapped[int] = mapped_column(
        sa.BigInteger, server_default=sa.text("(extract(epoch FROM now()) * 1000000)::bigint")
    )
    created_at: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True), server_default=sa.func.now())

    tasks: Mapped[int] = mapped_column(sa.Integer, server_default=sa.text("0"))
    """How many there are, tombstones too, as far as was counted: it says only whether changes are worth a log."""


class Task(Base):
    """A task of one user. `user_id` leads every key, so it can shard the table; a deleted task stays as a tombstone.

    `uid` is the name that the client gave it, if any, and `fingerprint` stands for what the client created it with.
    """

    __tablename__ = "tasks"

    id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(always=True))
    uid: Mapped[str | None] = mapped_column(sa.Text)
    user_id: Mapped[str] = mapped_column(sa.Text)
    title: Mapped[str] = mapped_column(sa.Text)
    description: Mapped[str | None] = mapped_column(sa.Text)
    priority: Mapped[int] = mapped_column(sa.SmallInteger, server_default=sa.text("2"))
    tags: Mapped[list[str]] = mapped_column(ARRAY(sa.Text), server_default=sa.text("'{}'"))
    due_date: Mapped[datetime | None] = mapped_column(sa.DateTime(timezone=True))
    completed: Mapped[bool] = mapped_column(server_default=sa.text("false"))
    created_at: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True), server_default=sa.func.now())
    updated_at: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True), server_default=sa.func.now())
    revision: Mapped[int] = mapped_column(sa.BigInteger)
    deleted_at: Mapped[datetime | None] = mapped_column(sa.DateTime(timezone=True))
    fingerprint: Mapped[int | None] = mapped_column(sa.BigInteger)

    __table_args__ = (
        sa.PrimaryKeyConstraint("user_id", "id"),
        sa.Index(
            "tasks_user_id_created_at_id_idx",
            "user_id",
            sa.text("created_at DESC"),
            sa.text("id DESC"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        ),
        sa.Index("tasks_user_id_uid_idx", "user_id", "uid", unique=True, postgresql_where=sa.text("uid IS NOT NULL")),
        sa.Index(
            "tasks_user_id_deleted_at_id_idx",
            "user_id",
            sa.text("deleted_at DESC"),
            sa.text("id DESC"),
            postgresql_where=sa.text("deleted_at IS NOT NULL"),
        ),
        {"postgresql_with": {"fillfactor": 90}},  # room on the page for the next version of a task (docs/data-model.md)
    )


class TaskChange(Base):
    """One of the latest writes of a user with very many tasks; the slots are a ring, see app/tasks/change_log.py."""

    __tablename__ = "task_changes"

    user_id: Mapped[str] = mapped_column(sa.Text)
    slot: Mapped[int] = mapped_column(sa.Integer)
    revision: Mapped[int] = mapped_column(sa.BigInteger)
    task_id: Mapped[int] = mapped_column(sa.BigInteger)

    __table_args__ = (sa.PrimaryKeyConstraint("user_id", "slot"), {"postgresql_with": {"fillfactor": 90}})


Moved = Callable[[str, int], object]
"""Is told of the revision that a write has given to a user, once it is committed. It takes no time, and never fails."""


def unheard(_user_id: str, _revision: int) -> None:
    """Stand in where nobody wants to be told."""


TASKS: Final = cast("sa.Table", Task.__table__)
USERS: Final = cast("sa.Table", User.__table__)
TASK_CHANGES: Final = cast("sa.Table", TaskChange.__table__)

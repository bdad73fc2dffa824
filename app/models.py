"""The two tables. Every write touches both: the task, and the user whose revision orders all writes."""

from datetime import datetime
from typing import Final

from advanced_alchemy.base import CommonTableAttributes
from sqlalchemy import (
    BigInteger,
    DateTime,
    Identity,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

CONVENTION: Final = {
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "pk": "%(table_name)s_pkey",
    "ck": "%(table_name)s_%(constraint_name)s_check",
}


class Base(CommonTableAttributes, DeclarativeBase):
    """Base of every model; constraint names follow PostgreSQL's own, so that migrations are reproducible."""

    metadata = MetaData(naming_convention=CONVENTION)


class User(Base):
    """A Better Auth user who has written at least once; holds the number that orders all of the user's writes."""

    __tablename__ = "users"
    __table_args__ = {"postgresql_with": {"fillfactor": 50}}  # noqa: RUF012 - SQLAlchemy reads it from the class

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class Task(Base):
    """A task of one user. `user_id` leads every key, so it can shard the table; a deleted task stays as a tombstone."""

    __tablename__ = "tasks"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    user_id: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    priority: Mapped[int] = mapped_column(SmallInteger, server_default=text("2"))
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    due_date: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    completed: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    revision: Mapped[int] = mapped_column(BigInteger)
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __table_args__ = (
        PrimaryKeyConstraint("user_id", "id"),
        Index(
            "tasks_user_id_created_at_id_idx",
            "user_id",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        {"postgresql_with": {"fillfactor": 90}},  # room on the page for the next version of a task (docs/data-model.md)
    )


def table_of(model: type[Base]) -> Table:
    """Return the model's table, for statements in SQLAlchemy Core."""
    assert isinstance(model.__table__, Table)  # noqa: S101 - every model of ours maps to one table
    return model.__table__


TASKS: Final = table_of(Task)
USERS: Final = table_of(User)

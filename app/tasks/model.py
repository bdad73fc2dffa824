from datetime import datetime

from sqlalchemy import BigInteger, DateTime, Identity, Index, PrimaryKeyConstraint, SmallInteger, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base


class Task(Base):
    """A task of one user. `user_id` leads every key, so it can shard the table; a deleted task stays as a tombstone."""

    __tablename__ = "tasks"

    user_id: Mapped[str] = mapped_column(Text)
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    title: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    priority: Mapped[int] = mapped_column(SmallInteger, server_default=text("2"))
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    due_date: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    completed: Mapped[bool] = mapped_column(server_default=text("false"))
    revision: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
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

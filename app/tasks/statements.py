"""Every SQL statement on tasks, built with SQLAlchemy Core, each one atomic and with the user's id in it.

PostgreSQL writes the JSON of the answers. A write is one data-modifying CTE: raise the user's revision, write the task
with it, return the task. The lock on the user's row makes the order of revisions the order of commits.
"""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as upsert

from app.db.statement import KNOWN, ONE, USER_ID, Statement
from app.models import TASKS, USERS
from app.settings import PriorityCase
from app.tasks import fields, listing
from app.tasks.query import ListQuery

TASK_ID: Final = sa.bindparam("task_id", type_=sa.BigInteger)
IF_MATCH: Final = sa.bindparam("if_match", type_=sa.ARRAY(sa.BigInteger))

FIRST_REVISION: Final = sa.cast(
    sa.func.extract("epoch", sa.func.clock_timestamp()) * sa.literal_column("1000000"), sa.BigInteger
)
"""Microseconds since 1970, so that an erased and recreated user never meets an old revision again."""


class TaskStatements:
    """The statements, compiled once per shape; `priority_case` decides how answers write a priority."""

    def __init__(self, priority_case: PriorityCase) -> None:
        names = [name.lower() if priority_case == "lower" else name for name in fields.PRIORITIES]
        self._priority_names = sa.literal_column(
            f"(ARRAY[{', '.join(repr(name) for name in names)}])", sa.ARRAY(sa.Text)
        )
        self._pages: dict[tuple[Any, ...], Statement] = {}
        self.get: Final = Statement.compile(self._get())
        self.create: Final = Statement.compile(self._create())
        self.update: Final = Statement.compile(self._change(_updated_values()))
        self.complete: Final = Statement.compile(self._change(_completed_values()))
        self.delete: Final = Statement.compile(self._change({"deleted_at": sa.func.now()}))

    def page(self, query: ListQuery) -> Statement:
        """Return the list statement for the filters and the order of `query`."""
        shape = listing.shape(query)
        statement = self._pages.get(shape)
        if statement is None:
            statement = self._pages[shape] = Statement.compile(listing.page(query, self._wire))
        return statement

    def _wire(self, source: sa.FromClause) -> list[sa.ColumnElement[Any]]:
        """Columns of `source` as the task's JSON has them, in its order."""
        column = source.c
        return [
            column.id,
            column.user_id,
            column.title,
            column.description,
            self._priority_names[column.priority].label("priority"),
            column.tags,
            column.due_date,
            column.completed,
            column.created_at,
            column.updated_at,
            column.revision,
        ]

    def _json(self, source: sa.FromClause) -> sa.Select[Any]:
        """Select the revision, id and JSON text of the tasks in `source`."""
        wire = sa.select(*self._wire(source)).subquery("task")
        return sa.select(
            wire.c.revision, wire.c.id, sa.cast(sa.func.row_to_json(wire.table_valued()), sa.Text).label("body")
        )

    def _get(self) -> sa.Select[Any]:
        wire = sa.select(*self._wire(TASKS)).where(_is_task()).subquery("task")
        body = sa.case(
            (wire.c.revision == sa.any_(KNOWN), None), else_=sa.cast(sa.func.row_to_json(wire.table_valued()), sa.Text)
        )
        return sa.select(wire.c.revision, body.label("body"))

    def _create(self) -> sa.Select[Any]:
        bump = (
            upsert(USERS)
            .values(id=USER_ID, revision=FIRST_REVISION)
            .on_conflict_do_update(index_elements=["id"], set_={"revision": USERS.c.revision + ONE})
            .returning(USERS.c.revision)
            .cte("bump")
        )
        columns: dict[str, sa.ColumnElement[Any]] = {
            "user_id": USER_ID,
            "title": sa.bindparam("title", type_=sa.Text),
            "description": sa.bindparam("description", type_=sa.Text),
            "priority": sa.bindparam("priority", type_=sa.SmallInteger),
            "tags": sa.bindparam("tags", type_=sa.ARRAY(sa.Text)),
            "due_date": sa.bindparam("due_date", type_=sa.DateTime(timezone=True)),
            "completed": sa.bindparam("completed", type_=sa.Boolean),
            "revision": bump.c.revision,
        }
        row = (
            sa.insert(TASKS)
            .from_select(list(columns), sa.select(*columns.values()), include_defaults=False)
            .returning(*TASKS.c)
            .cte("row")
        )
        return self._json(row)

    def _change(self, changes: dict[str, Any]) -> sa.Select[Any]:
        """Write one task, unless it is gone or `if_match` names other revisions; `present` tells which of the two."""
        unchanged = sa.or_(IF_MATCH.is_(None), TASKS.c.revision == sa.any_(IF_MATCH))
        bump = (
            sa.update(USERS)
            .values(revision=USERS.c.revision + ONE)
            .where(USERS.c.id == USER_ID, _of_task(sa.and_(TASKS.c.deleted_at.is_(None), unchanged)))
            .returning(USERS.c.revision)
            .cte("bump")
        )
        row = (
            sa.update(TASKS)
            .values(**changes, revision=bump.c.revision, updated_at=sa.func.now())
            .where(_is_task(), unchanged)
            .returning(*TASKS.c)
            .cte("row")
        )
        written = self._json(row).subquery("written")
        present = sa.case((written.c.revision.is_(None), _of_task(TASKS.c.deleted_at.is_(None))), else_=sa.true())
        always = sa.select(ONE).subquery("always")
        return sa.select(written.c.revision, written.c.body, present.label("present")).select_from(
            always.outerjoin(written, sa.true())
        )


def _is_task() -> sa.ColumnElement[bool]:
    return sa.and_(TASKS.c.user_id == USER_ID, TASKS.c.id == TASK_ID, TASKS.c.deleted_at.is_(None))


def _of_task(truth: sa.ColumnElement[bool]) -> sa.ScalarSelect[bool]:
    """Whether something is true of the task; null where there is none.

    What EXISTS would ask, without a condition on `deleted_at` in WHERE: that makes the index of lists fit, and the
    planner looks for the id in all of the user's entries there, because it needs no more than the index.
    """
    return sa.select(truth).where(TASKS.c.user_id == USER_ID, TASKS.c.id == TASK_ID).scalar_subquery()


def _updated_values() -> dict[str, Any]:
    """Keep a column whose parameter is null, but for the two that can be null themselves: those have a flag."""
    values: dict[str, Any] = {}
    for name in ("title", "priority", "tags", "completed"):
        column = TASKS.c[name]
        values[name] = sa.func.coalesce(sa.bindparam(name, type_=column.type), column)
    for name in ("description", "due_date"):
        column = TASKS.c[name]
        given = sa.bindparam(f"{name}_given", type_=sa.Boolean)
        values[name] = sa.case((given, sa.bindparam(name, type_=column.type)), else_=column)
    return values


def _completed_values() -> dict[str, Any]:
    return {"completed": sa.func.coalesce(sa.bindparam("completed", type_=sa.Boolean), ~TASKS.c.completed)}

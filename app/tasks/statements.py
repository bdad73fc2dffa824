"""Every SQL statement on tasks, built with SQLAlchemy Core, each one atomic and with the user's id in it.

PostgreSQL writes the JSON of the answers. A write is one data-modifying CTE: raise the user's revision, write the task
with it, return the task. The lock on the user's row makes the order of revisions the order of commits.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as upsert

from app.db.statement import KNOWN, ONE, USER_ID, Statement
from app.models import TASKS, USERS
from app.tasks import listing
from app.tasks.query import ListQuery

HIDDEN: Final = {"deleted_at"}
"""Columns that answers leave out."""

SET_BY_SERVER: Final = {"id", "user_id", "created_at", "updated_at", "revision", *HIDDEN}
WRITABLE: Final = tuple(column for column in TASKS.c if column.name not in SET_BY_SERVER)
"""Columns that clients write, under the same names."""

TASK_ID: Final = sa.bindparam("task_id", type_=sa.BigInteger)
IF_MATCH: Final = sa.bindparam("if_match", type_=sa.ARRAY(sa.BigInteger))

FIRST_REVISION: Final = sa.cast(
    sa.func.extract("epoch", sa.func.clock_timestamp()) * sa.literal_column("1000000"), sa.BigInteger
)
"""Microseconds since 1970, so that an erased and recreated user never meets an old revision again."""


def assigned(column: sa.Column[Any]) -> str:
    """Name the parameter that tells whether an update sets a column that can be null."""
    return f"{column.name}_assigned"


def update_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of an update that writes `values` and leaves every other column as it is."""
    return {column.name: values.get(column.name) for column in WRITABLE} | {
        assigned(column): column.name in values for column in WRITABLE if column.nullable
    }


class TaskStatements:
    """The statements, compiled once per shape; `priority_names` are written for the stored 1, 2 and 3.

    A list is a bare array, or the member `envelope` of an object.
    """

    def __init__(self, priority_names: Sequence[str], envelope: str | None = None) -> None:
        names = ", ".join(f"'{name}'" for name in priority_names)
        self._priority_names = sa.literal_column(f"(ARRAY[{names}])", sa.ARRAY(sa.Text))
        self._brackets = listing.brackets(envelope)
        self.no_tasks: Final = "".join(self._brackets).encode()
        self._pages: dict[tuple[Any, ...], Statement] = {}
        self.get: Final = Statement.compile("tasks.read", self._get(), varying=(USER_ID, TASK_ID, KNOWN))
        self.create: Final = Statement.compile("tasks.create", self._create())
        self.update: Final = Statement.compile(
            "tasks.update", self._change({column.name: _updated(column) for column in WRITABLE})
        )
        self.complete: Final = Statement.compile("tasks.complete", self._change({"completed": _completed()}))
        self.delete: Final = Statement.compile("tasks.delete", self._change({"deleted_at": sa.func.now()}))

    def page(self, query: ListQuery) -> Statement:
        """Return the list statement for the filters and the order of `query`."""
        shape = listing.shape(query)
        statement = self._pages.get(shape)
        if statement is None:
            statement = self._pages[shape] = Statement.compile(
                "tasks.list", listing.page(query, self._as_json, self._brackets), varying=(USER_ID, KNOWN)
            )
        return statement

    def _as_json(self, tasks: sa.FromClause) -> list[sa.ColumnElement[Any]]:
        """Return the columns of `tasks` as a task's JSON has them, in its order."""
        return [
            self._priority_names[column].label(column.name) if column.name == "priority" else column
            for column in tasks.c
            if column.name not in HIDDEN
        ]

    def _json(self, tasks: sa.FromClause) -> sa.Select[Any]:
        """Select the revision, id and JSON text of `tasks`."""
        task = sa.select(*self._as_json(tasks)).subquery("task")
        return sa.select(task.c.revision, task.c.id, _text(task).label("body"))

    def _get(self) -> sa.Select[Any]:
        task = sa.select(*self._as_json(TASKS)).where(_is_task()).subquery("task")
        body = sa.case((task.c.revision == sa.any_(KNOWN), None), else_=_text(task))
        return sa.select(task.c.revision, body.label("body"))

    def _create(self) -> sa.Select[Any]:
        bump = (
            upsert(USERS)
            .values(id=USER_ID, revision=FIRST_REVISION)
            .on_conflict_do_update(index_elements=["id"], set_={"revision": USERS.c.revision + ONE})
            .returning(USERS.c.revision)
            .cte("bump")
        )
        written = {column.name: _parameter(column) for column in WRITABLE}
        columns: dict[str, sa.ColumnElement[Any]] = {"user_id": USER_ID, **written, "revision": bump.c.revision}
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


def _text(task: sa.Subquery) -> sa.ColumnElement[str]:
    return sa.cast(sa.func.row_to_json(task.table_valued()), sa.Text)


def _parameter(column: sa.Column[Any]) -> sa.BindParameter[Any]:
    return sa.bindparam(column.name, type_=column.type)


def _updated(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """Keep a column whose parameter is null, unless it can be null itself: then a flag decides."""
    if column.nullable:
        return sa.case((sa.bindparam(assigned(column), type_=sa.Boolean), _parameter(column)), else_=column)
    return sa.func.coalesce(_parameter(column), column)


def _completed() -> sa.ColumnElement[bool]:
    return sa.func.coalesce(_parameter(TASKS.c.completed), ~TASKS.c.completed)

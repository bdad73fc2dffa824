"""The statements on one task, which its id or its uid names: a shape of each for either.

A write is one data-modifying CTE: raise the user's revision, write the task with it, return the task.
"""

from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa

from app.db.statement import KNOWN, ONE, USER_ID, Statement
from app.models import TASKS, USERS
from app.tasks.change_log import logged
from app.tasks.json import HIDDEN, TaskJSON, text

SET_BY_SERVER: Final = {"id", "uid", "user_id", "created_at", "updated_at", "revision", *HIDDEN}
WRITABLE: Final = tuple(column for column in TASKS.c if column.name not in SET_BY_SERVER)
"""Columns that clients write, under the same names, as often as they like."""

IF_MATCH: Final = sa.bindparam("if_match", type_=sa.ARRAY(sa.BigInteger))
UNCHANGED: Final = sa.or_(IF_MATCH.is_(None), TASKS.c.revision == sa.any_(IF_MATCH))


def assigned(column: sa.Column[Any]) -> str:
    """Name the parameter that tells whether an update sets a column that can be null."""
    return f"{column.name}_assigned"


def update_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of an update that writes `values` and leaves every other column as it is."""
    return {column.name: values.get(column.name) for column in WRITABLE} | {
        assigned(column): column.name in values for column in WRITABLE if column.nullable
    }


class OneTask:
    """What can be done with the task whose `column`, its id or its uid, is the parameter `task_key`."""

    def __init__(self, json: TaskJSON, column: sa.Column[Any]) -> None:
        self._json = json
        self._key = sa.bindparam("task_key", type_=column.type)
        self._named = sa.and_(TASKS.c.user_id == USER_ID, column == self._key)
        self._is_task = sa.and_(self._named, TASKS.c.deleted_at.is_(None))
        self.get: Final = Statement.compile("tasks.read", self._get(), varying=(USER_ID, self._key, KNOWN))
        self.update: Final = Statement.compile(
            "tasks.update", self._change({column.name: _updated(column) for column in WRITABLE})
        )
        self.complete: Final = Statement.compile("tasks.complete", self._change({"completed": _completed()}))
        self.delete: Final = Statement.compile("tasks.delete", self._change({"deleted_at": sa.func.now()}))
        self.restore: Final = Statement.compile("tasks.restore", self._restore())

    def _get(self) -> sa.Select[Any]:
        task = sa.select(*self._json.columns(TASKS)).where(self._is_task).subquery("task")
        body = sa.case((task.c.revision == sa.any_(KNOWN), None), else_=text(task))
        return sa.select(task.c.revision, body.label("body"))

    def _change(self, changes: dict[str, Any]) -> sa.Select[Any]:
        """Write one task, unless it is gone or `if_match` names other revisions; `present` tells which of the two."""
        bump = self._bump(TASKS.c.deleted_at.is_(None))
        row = (
            sa.update(TASKS)
            .values(**changes, revision=bump.c.revision, updated_at=sa.func.now())
            .where(self._is_task, UNCHANGED)
            .returning(*TASKS.c)
            .cte("row")
        )
        return self._answer(row, TASKS.c.deleted_at.is_(None)).add_cte(logged(bump, row))

    def _restore(self) -> sa.Select[Any]:
        """Bring a deleted task back, or write nothing and answer with one that is there; `present` as for a change.

        Who meets a task that another request has just brought back, writes it as it is: no row would be no answer.
        """
        is_deleted = TASKS.c.deleted_at.is_not(None)
        bump = self._bump(is_deleted)
        row = (
            sa.update(TASKS)
            .values(
                deleted_at=sa.null(),
                revision=sa.case((is_deleted, bump.c.revision), else_=TASKS.c.revision),
                updated_at=sa.case((is_deleted, sa.func.now()), else_=TASKS.c.updated_at),
            )
            .where(self._named, UNCHANGED)
            .returning(*TASKS.c)
            .cte("row")
        )
        there = sa.select(TASKS).where(self._is_task, UNCHANGED, ~sa.select(bump.c.revision).exists())
        found = sa.union_all(sa.select(row), there).cte("found")
        return self._answer(found, sa.true()).add_cte(logged(bump, row))

    def _bump(self, condition: sa.ColumnElement[bool]) -> sa.CTE:
        """Raise the user's revision, if the condition is true of the task and `if_match` does not name others."""
        return (
            sa.update(USERS)
            .values(revision=USERS.c.revision + ONE)
            .where(USERS.c.id == USER_ID, self._of_task(sa.and_(condition, UNCHANGED)))
            .returning(USERS.c.revision, USERS.c.tasks)
            .cte("bump")
        )

    def _answer(self, row: sa.CTE, condition: sa.ColumnElement[bool]) -> sa.Select[Any]:
        """Select the written task; in place of none, nulls and whether there is one of which the condition is true."""
        written = self._json.select(row).subquery("written")
        present = sa.case((written.c.revision.is_(None), self._of_task(condition)), else_=sa.true())
        always = sa.select(ONE).subquery("always")
        answer = sa.select(written.c.revision, written.c.body, present.label("present"))
        return answer.select_from(always.outerjoin(written, sa.true()))

    def _of_task(self, truth: sa.ColumnElement[bool]) -> sa.ScalarSelect[bool]:
        """Whether something is true of the task; null where there is none.

        What EXISTS would ask, without a condition on `deleted_at` in WHERE: that makes the index of lists fit, and the
        planner looks for the task in all of the user's entries there, because it needs no more than the index.
        """
        return sa.select(truth).where(self._named).scalar_subquery()


def parameter(column: sa.Column[Any]) -> sa.BindParameter[Any]:
    """Return the parameter for the value of a column, of the same name."""
    return sa.bindparam(column.name, type_=column.type)


def _updated(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """Keep a column whose parameter is null, unless it can be null itself: then a flag decides."""
    if column.nullable:
        return sa.case((sa.bindparam(assigned(column), type_=sa.Boolean), parameter(column)), else_=column)
    return sa.func.coalesce(parameter(column), column)


def _completed() -> sa.ColumnElement[bool]:
    return sa.func.coalesce(parameter(TASKS.c.completed), ~TASKS.c.completed)

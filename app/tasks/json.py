"""How a task becomes the JSON of an answer: PostgreSQL writes it, column by column."""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

HIDDEN: Final = {"deleted_at", "fingerprint"}
"""Columns that answers leave out, but for when a task was deleted where deleted ones are listed."""


class TaskJSON:
    """Writes `priority_names` for the stored 1, 2 and 3."""

    def __init__(self, priority_names: Sequence[str]) -> None:
        names = ", ".join(f"'{name}'" for name in priority_names)
        self._priority_names = sa.literal_column(f"(ARRAY[{names}])", sa.ARRAY(sa.Text))

    def columns(self, tasks: sa.FromClause) -> list[sa.ColumnElement[Any]]:
        """Return the columns of `tasks` as a task's JSON has them, in its order; each keeps its name."""
        return [self._written(column, tasks) for column in tasks.c if column.name not in HIDDEN]

    def columns_of_deleted(self, tasks: sa.FromClause) -> list[sa.ColumnElement[Any]]:
        """Return the same, and when each task was deleted."""
        return [*self.columns(tasks), tasks.c.deleted_at]

    def select(self, tasks: sa.FromClause) -> sa.Select[Any]:
        """Select the revision, id and JSON text of `tasks`, as `body`."""
        task = sa.select(*self.columns(tasks)).subquery("task")
        return sa.select(task.c.revision, task.c.id, text(task).label("body"))

    def _written(self, column: sa.ColumnElement[Any], tasks: sa.FromClause) -> sa.ColumnElement[Any]:
        match column.key:
            case "priority":
                return self._priority_names[column].label("priority")
            case "uid":  # whoever gave none knows the task by its id
                return sa.func.coalesce(column, sa.cast(tasks.c.id, sa.Text)).label("uid")
        return column


def text(task: sa.Subquery) -> sa.ColumnElement[str]:
    """Return each row as the text of a JSON object."""
    return sa.cast(sa.func.row_to_json(task.table_valued()), sa.Text)

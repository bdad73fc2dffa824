"""Every SQL statement on tasks, built with SQLAlchemy Core, each one atomic and with the user's id in it.

The lock on the user's row makes the order of revisions the order of commits.
"""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as upsert

from app.db.statement import KNOWN, ONE, USER_ID, Statement
from app.models import TASKS, USERS
from app.tasks import listing
from app.tasks.change_log import logged
from app.tasks.json import TaskJSON
from app.tasks.key import TaskKey
from app.tasks.one_task import WRITABLE, OneTask, parameter
from app.tasks.query import ListQuery

FIRST_REVISION: Final = sa.cast(
    sa.func.extract("epoch", sa.func.clock_timestamp()) * sa.literal_column("1000000"), sa.BigInteger
)
"""Microseconds since 1970, so that an erased and recreated user never meets an old revision again."""


class TaskStatements:
    """The statements, compiled once per shape; `priority_names` are written for the stored 1, 2 and 3.

    A list is a bare array, or the member `envelope` of an object.
    """

    def __init__(self, priority_names: Sequence[str], envelope: str | None = None) -> None:
        self._json = TaskJSON(priority_names)
        self._brackets = listing.brackets(envelope)
        self.no_tasks: Final = "".join(self._brackets).encode()
        self._pages: dict[tuple[Any, ...], Statement] = {}
        self.by_id: Final = OneTask(self._json, TASKS.c.id)
        self.by_uid: Final = OneTask(self._json, TASKS.c.uid)
        self.create: Final = Statement.compile("tasks.create", self._create())

    def of(self, key: TaskKey) -> OneTask:
        """Return the statements on a task that is called so."""
        return self.by_id if isinstance(key, int) else self.by_uid

    def page(self, query: ListQuery) -> Statement:
        """Return the list statement for the filters and the order of `query`."""
        shape = listing.shape(query)
        statement = self._pages.get(shape)
        if statement is None:
            as_json = self._json.columns_of_deleted if query.trash else self._json.columns
            statement = self._pages[shape] = Statement.compile(
                "tasks.list", listing.page(query, as_json, self._brackets), varying=(USER_ID, KNOWN)
            )
        return statement

    def _create(self) -> sa.Select[Any]:
        bump = (
            upsert(USERS)
            .values(id=USER_ID, revision=FIRST_REVISION, tasks=ONE)
            .on_conflict_do_update(
                index_elements=["id"], set_={"revision": USERS.c.revision + ONE, "tasks": USERS.c.tasks + ONE}
            )
            .returning(USERS.c.revision, USERS.c.tasks)
            .cte("bump")
        )
        written = {column.name: parameter(column) for column in WRITABLE}
        columns: dict[str, sa.ColumnElement[Any]] = {"user_id": USER_ID, **written, "revision": bump.c.revision}
        row = (
            sa.insert(TASKS)
            .from_select(list(columns), sa.select(*columns.values()), include_defaults=False)
            .returning(*TASKS.c)
            .cte("row")
        )
        return self._json.select(row).add_cte(logged(bump, row))

"""Every SQL statement on tasks, built with SQLAlchemy Core, each one atomic and with the user's id in it.

The lock on the user's row makes the order of revisions the order of commits.
"""

from collections.abc import Sequence
from functools import cache
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

UID: Final = sa.bindparam("uid", type_=sa.Text)
FINGERPRINT: Final = sa.bindparam("fingerprint", type_=sa.BigInteger)

FIRST_REVISION: Final = sa.cast(
    sa.func.extract("epoch", sa.func.clock_timestamp()) * sa.literal_column("1000000"), sa.BigInteger
)
"""Microseconds since 1970, so that an erased and recreated user never meets an old revision again."""

COUNTED: Final = {"revision": USERS.c.revision + ONE, "tasks": USERS.c.tasks + ONE}
"""What a create does to the user's row."""


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
        self.create_once: Final = Statement.compile("tasks.create_once", self._create_once(), repeatable=True)

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
            .on_conflict_do_update(index_elements=["id"], set_=COUNTED)
            .returning(USERS.c.revision, USERS.c.tasks)
            .cte("bump")
        )
        columns = {**_written(), "revision": bump.c.revision}
        row = (
            sa.insert(TASKS)
            .from_select(list(columns), sa.select(*columns.values()), include_defaults=False)
            .returning(*TASKS.c)
            .cte("row")
        )
        return self._json.select(row).add_cte(logged(bump, row))

    def _create_once(self) -> sa.Select[Any]:
        """Create a task, unless one was created with this uid: then select that one, deleted or not.

        `created` tells which it is, and is null instead of false where nothing was written; `same` whether the
        fingerprints agree. A duplicate that has not seen the first one waits at the user's row until that is committed,
        and then meets it at the index: the revision that it took is passed over.
        """
        there = sa.and_(TASKS.c.user_id == USER_ID, TASKS.c.uid == UID)
        absent = ~sa.select(ONE).where(there).exists()
        bump = (
            upsert(USERS)
            .from_select(
                ["id", "revision", "tasks"],
                sa.select(USER_ID, FIRST_REVISION, ONE).where(absent),
                include_defaults=False,
            )
            .on_conflict_do_update(index_elements=["id"], set_=COUNTED)
            .returning(USERS.c.revision, USERS.c.tasks)
            .cte("bump")
        )
        columns = {**_written(), "uid": UID, "fingerprint": FINGERPRINT, "revision": bump.c.revision}
        insert = upsert(TASKS).from_select(list(columns), sa.select(*columns.values()), include_defaults=False)
        row = (
            insert.on_conflict_do_update(
                index_elements=["user_id", "uid"],
                index_where=TASKS.c.uid.is_not(None),
                set_={"uid": insert.excluded.uid},
            )
            .returning(*TASKS.c)
            .cte("row")
        )
        before = sa.select(TASKS).where(there, ~sa.select(bump.c.revision).exists())
        found = sa.union_all(sa.select(row), before).cte("found")
        return (
            self._json.select(found)
            .add_columns(
                (sa.select(found.c.revision).scalar_subquery() == sa.select(bump.c.revision).scalar_subquery()).label(
                    "created"
                ),
                sa.select(found.c.fingerprint == FINGERPRINT).scalar_subquery().label("same"),
                sa.select(found.c.deleted_at.is_not(None)).scalar_subquery().label("deleted"),
            )
            .add_cte(logged(bump, row))
        )


@cache
def statements(priority_names: tuple[str, ...], envelope: str | None) -> TaskStatements:
    """Return those of this process; nothing in them belongs to one application."""
    return TaskStatements(priority_names, envelope)


def _written() -> dict[str, sa.ColumnElement[Any]]:
    """Return what a new task is made of, by column; the user comes first."""
    return {"user_id": USER_ID, **{column.name: parameter(column) for column in WRITABLE}}

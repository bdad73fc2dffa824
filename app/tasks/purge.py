"""Removing tombstones for good, some of one user's at a time, and what can no longer be told after that.

As in every write the user's row is locked first. It gets a new revision, because the trash is another list now, and a
`floor` that no forgotten deletion is above, so that clients which have not heard of it start again.
"""

from typing import Final

import sqlalchemy as sa
from msgspec import Struct

from app.db.statement import ONE, USER_ID
from app.models import TASKS, USERS
from app.tasks.change_log import logged

BEFORE: Final = sa.bindparam("before", type_=sa.DateTime(timezone=True))
AFTER: Final = sa.bindparam("after", type_=sa.Text)
LIMIT: Final = sa.bindparam("limit", type_=sa.Integer)
OLD: Final = TASKS.c.deleted_at < BEFORE


class Tombstones(Struct):
    """How many, and how many of them have a uid: for those a create with the same key makes a new task."""

    tasks: int
    uids: int


class Purged(Tombstones):
    """What one statement removed; there may be more if it `found` as many as it was allowed to."""

    found: int


def _of(*conditions: sa.ColumnElement[bool]) -> sa.Select[tuple[str, int, int]]:
    numbers = (sa.func.count().label("tasks"), sa.func.count(TASKS.c.uid).label("uids"))
    return sa.select(TASKS.c.user_id, *numbers).where(OLD, *conditions).group_by(TASKS.c.user_id)


OF_USER: Final = _of(TASKS.c.user_id == USER_ID)
"""The old tombstones of one user, counted; no row where there are none."""

OF_NEXT_USERS: Final = _of(TASKS.c.user_id > AFTER).order_by(TASKS.c.user_id).limit(LIMIT)
"""The same for each of the next users after one; the only statement that is about more users than one."""


def _purge() -> sa.Select[tuple[int, int, int]]:
    """Remove the oldest tombstones of a user, LIMIT at most.

    The deletion asks once more when a task was deleted, because another request may have restored it while this one
    waited for the user's row. No task is locked before that row, for the deletion gets its first one through the join
    with it.
    """
    owner = sa.select(USERS.c.id).where(USERS.c.id == USER_ID).with_for_update().cte("owner")
    oldest = (
        sa.select(TASKS.c.id, TASKS.c.deleted_at)
        .where(TASKS.c.user_id == USER_ID, OLD)
        .order_by(TASKS.c.deleted_at, TASKS.c.id)
        .limit(LIMIT)
        .cte("oldest")
    )
    latest = sa.select(sa.func.max(oldest.c.deleted_at)).scalar_subquery()
    gone = (
        sa.delete(TASKS)
        .where(TASKS.c.user_id == USER_ID, TASKS.c.user_id == owner.c.id)
        .where(TASKS.c.id == oldest.c.id, TASKS.c.deleted_at <= latest)
        .returning(TASKS.c.user_id, TASKS.c.revision, TASKS.c.uid)
        .cte("gone")
    )
    total = (
        sa.select(gone.c.user_id, sa.func.max(gone.c.revision).label("revision"), sa.func.count().label("tasks"))
        .group_by(gone.c.user_id)
        .subquery("total")
    )
    bump = (
        sa.update(USERS)
        .values(
            revision=USERS.c.revision + ONE,
            floor=sa.func.greatest(USERS.c.floor, total.c.revision),
            tasks=sa.func.greatest(USERS.c.tasks - total.c.tasks, sa.literal_column("0")),
        )
        .where(USERS.c.id == USER_ID, USERS.c.id == total.c.user_id)
        .returning(USERS.c.revision, USERS.c.tasks)
        .cte("bump")
    )
    no_task = sa.select(sa.cast(sa.null(), sa.BigInteger).label("id")).where(sa.false()).cte("row")
    found = sa.select(sa.func.count()).select_from(oldest).scalar_subquery()
    numbers = sa.select(
        sa.func.count().label("tasks"), sa.func.count(gone.c.uid).label("uids"), found.label("found")
    ).select_from(gone)
    return numbers.add_cte(logged(bump, no_task))


PURGE: Final = _purge()

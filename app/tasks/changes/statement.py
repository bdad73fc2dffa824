"""The statement of the delta feed: one page of what changed since a revision, and whether that can still be told.

No revision is indexed, so what changed is looked for among all of the user's tasks, or in the log of those who have
very many. That nothing changed, as most are told, is known from the user's row alone.
"""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.selectable import LateralFromClause

from app.db.statement import KNOWN, ONE, USER_ID, Statement
from app.models import TASK_CHANGES, TASKS, USERS
from app.tasks.change_log import MANY, RING, slot
from app.tasks.json import TaskJSON, text

SINCE: Final = sa.bindparam("since", type_=sa.BigInteger)
SNAPSHOT: Final = sa.bindparam("snapshot", type_=sa.BigInteger)
LIMIT: Final = sa.bindparam("limit", type_=sa.Integer)
ZERO: Final = sa.literal_column("0", sa.BigInteger)


def changes(json: TaskJSON) -> Statement:
    """Compile the statement; its rows have the user's revision, whether changes are gone, and the contents of the page.

    `contents` is null where nothing has changed, or the client holds the answer; otherwise an array of the JSON of the
    tasks, and the revision of the last one if there are more.
    """
    reach = sa.func.greatest(SINCE, SNAPSHOT)
    gone = sa.or_(reach > USERS.c.revision, sa.and_(reach > ZERO, reach < USERS.c.floor))
    wanted = sa.and_(~gone, USERS.c.revision > SINCE, USERS.c.revision != sa.all_(KNOWN))
    columns = json.columns_of_deleted(TASKS)
    by_log, by_scan = (_contents(found(columns)) for found in (_logged, _scanned))
    contents = sa.case((wanted, sa.case((_log_is_complete(), by_log), else_=by_scan)))
    statement = sa.select(USERS.c.revision, gone.label("gone"), contents.label("contents")).where(USERS.c.id == USER_ID)
    return Statement.compile("tasks.changes", statement, varying=(USER_ID, SINCE, SNAPSHOT, KNOWN))


def _contents(selected: sa.Select[Any]) -> sa.ScalarSelect[Any]:
    """Return the first LIMIT rows as JSON, and the revision of the last of them if there is one more."""
    task = selected.limit(LIMIT + ONE).subquery("task")
    items = sa.func.array_agg(text(task), type_=sa.ARRAY(sa.Text))
    last = sa.func.array_agg(task.c.revision, type_=sa.ARRAY(sa.BigInteger))[LIMIT]
    joined = sa.func.coalesce(
        sa.func.array_to_string(items[ONE:LIMIT], sa.literal_column("','")), sa.literal_column("''")
    )
    following = sa.case((sa.func.count() > LIMIT, sa.cast(last, sa.Text)))
    return sa.select(postgresql.array([joined, following])).select_from(task).scalar_subquery()


def _is_told() -> sa.ColumnElement[bool]:
    """Leave out what was deleted before a snapshot began: nobody who starts with nothing has it."""
    start = sa.case((SINCE == ZERO, USERS.c.revision), else_=SNAPSHOT)
    return sa.or_(TASKS.c.deleted_at.is_(None), TASKS.c.revision > start)


def _scanned(columns: list[sa.ColumnElement[Any]]) -> sa.Select[Any]:
    """Look at all of the user's tasks."""
    changed = sa.and_(TASKS.c.user_id == USER_ID, TASKS.c.revision > SINCE, _is_told())
    return sa.select(*columns).where(changed).order_by(TASKS.c.revision).correlate(USERS)


def _logged(columns: list[sa.ColumnElement[Any]]) -> sa.Select[Any]:
    """Look at the tasks in the log, each once: where its revision is still that of the entry.

    OFFSET 0 makes the planner go from entry to entry, as many as a page takes; it knows nothing of their number, and
    would read all tasks.
    """
    number, entry = _entries()
    task = (
        sa.select(*columns)
        .where(
            TASKS.c.user_id == USER_ID, TASKS.c.id == entry.c.task_id, TASKS.c.revision == number.c.revision, _is_told()
        )
        .correlate(USERS, number, entry)
        .offset(ZERO)
        .lateral("changed")
    )
    source = number.join(entry, sa.true()).join(task, sa.true())
    return sa.select(*task.c).select_from(source).order_by(number.c.revision).correlate(USERS)


def _log_is_complete() -> sa.ColumnElement[bool]:
    """Tell whether the log has every change: as many entries as the user's revision has moved on.

    It has not where the version before wrote, or the user had fewer tasks.
    """
    number, entry = _entries()
    count = sa.select(sa.func.count()).select_from(number.join(entry, sa.true())).correlate(USERS).scalar_subquery()
    moved = USERS.c.revision - SINCE
    return sa.case((sa.and_(USERS.c.tasks > MANY, moved <= RING), count == moved), else_=sa.false())


def _entries() -> tuple[sa.Subquery, LateralFromClause]:
    """Return the revisions since then in their order, and for each the entry of the log that has it."""
    following = sa.func.generate_series(SINCE + ONE, USERS.c.revision, type_=sa.BigInteger).label("revision")
    number = sa.select(following).order_by(following).offset(ZERO).correlate(USERS).subquery("number")
    entry = (
        sa.select(TASK_CHANGES.c.task_id)
        .where(
            TASK_CHANGES.c.user_id == USER_ID,
            TASK_CHANGES.c.slot == slot(number.c.revision),
            TASK_CHANGES.c.revision == number.c.revision,
        )
        .correlate(number)
        .offset(ZERO)
        .lateral("entry")
    )
    return number, entry

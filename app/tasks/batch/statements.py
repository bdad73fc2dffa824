"""The statements of a batch: lock the user's row, read the tasks that it names, write those that it changes."""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as upsert

from app.db.decision import Decision, Lock
from app.db.statement import USER_ID, Statement
from app.models import TASKS, USERS
from app.tasks.change_log import logged
from app.tasks.json import TaskJSON, text
from app.tasks.one_task import WRITABLE
from app.tasks.statements import FIRST_REVISION

IDS: Final = sa.bindparam("ids", type_=sa.ARRAY(sa.BigInteger))
UIDS: Final = sa.bindparam("uids", type_=sa.ARRAY(sa.Text))
ROWS: Final = sa.bindparam("rows", type_=sa.JSON)
REVISION: Final = sa.bindparam("revision", type_=sa.BigInteger)
CREATED: Final = sa.bindparam("created", type_=sa.Integer)
NEVER_WRITTEN: Final = sa.literal_column("0", sa.BigInteger)
"""The revision of a user whose row the lock itself has made."""


def statements(priority_names: Sequence[str]) -> Decision:
    """Compile them."""
    json = TaskJSON(priority_names)
    return Decision(
        "tasks.batch",
        Lock("tasks.batch.lock", _lock),
        Statement.compile("tasks.batch.read", _read(json)),
        Statement.compile("tasks.batch", _write(json)),
    )


def _lock(user_id: sa.ColumnElement[str]) -> sa.Executable:
    """Lock the user's row, and make it where there is none. A row that is there is not written: the condition fails."""
    return (
        upsert(USERS)
        .values(id=user_id)
        .on_conflict_do_update(index_elements=["id"], set_={"revision": USERS.c.revision}, where=sa.false())
        .inline()
    )


def _read(json: TaskJSON) -> sa.Select[Any]:
    """Select the named tasks with the user's revision, and the one after which revisions go on; one row at least."""
    named = [
        sa.select(TASKS).where(TASKS.c.user_id == USER_ID, TASKS.c.id == sa.any_(IDS)),
        sa.select(TASKS).where(TASKS.c.user_id == USER_ID, TASKS.c.uid == sa.any_(UIDS)),
    ]
    stored = sa.union_all(*named).subquery("stored")
    start = sa.case((USERS.c.revision == NEVER_WRITTEN, FIRST_REVISION), else_=USERS.c.revision)
    return (
        sa.select(
            USERS.c.revision.label("user_revision"),
            start.label("start"),
            stored.c.id,
            stored.c.uid,
            stored.c.revision,
            *(stored.c[column.name] for column in WRITABLE),
            stored.c.deleted_at.is_not(None).label("deleted"),
            _body(json, stored),
        )
        .select_from(USERS.outerjoin(stored, sa.true()))
        .where(USERS.c.id == USER_ID)
    )


def _write(json: TaskJSON) -> sa.Select[Any]:
    """Write `rows`, an array of objects: those without an id are new."""
    columns = [TASKS.c.id, TASKS.c.uid, TASKS.c.fingerprint, *WRITABLE, TASKS.c.revision]
    described = [sa.column(column.name, column.type) for column in columns]
    parsed = sa.func.json_to_recordset(ROWS).table_valued(*described, sa.column("deleted", sa.Boolean))
    given = sa.select(parsed.render_derived(name="parsed", with_types=True)).cte("given")
    bump = (
        sa.update(USERS)
        .values(revision=REVISION, tasks=USERS.c.tasks + CREATED)
        .where(USERS.c.id == USER_ID)
        .returning(USERS.c.revision, USERS.c.tasks)
        .cte("bump")
    )
    values: dict[str, Any] = {column.name: given.c[column.name] for column in WRITABLE}
    values |= {"revision": given.c.revision, "deleted_at": sa.case((given.c.deleted, sa.func.now()))}
    updated = (
        sa.update(TASKS)
        .values(**values, updated_at=sa.func.now())
        .where(TASKS.c.user_id == USER_ID, TASKS.c.id == sa.any_(IDS), TASKS.c.id == given.c.id)
        .returning(*TASKS.c)
        .cte("updated")
    )
    values = {"user_id": USER_ID, "uid": given.c.uid, "fingerprint": given.c.fingerprint, **values}
    new = sa.select(*values.values()).where(given.c.id.is_(None)).order_by(given.c.revision)
    created = sa.insert(TASKS).from_select(list(values), new, include_defaults=False).returning(*TASKS.c).cte("created")
    written = sa.union_all(sa.select(updated), sa.select(created)).cte("written")
    return sa.select(written.c.id, written.c.uid, _body(json, written)).add_cte(
        logged(bump, written, written.c.revision)
    )


def _body(json: TaskJSON, tasks: sa.FromClause) -> sa.ColumnElement[str]:
    """Return the JSON of a task as the delta feed has it: deleted ones as well."""
    task = sa.select(*json.columns(tasks), tasks.c.deleted_at).correlate(tasks).subquery("task")
    return sa.select(text(task)).scalar_subquery().label("body")

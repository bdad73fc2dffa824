"""The latest changes of users with very many tasks, so that what changed is not looked for among all of them.

`task_changes` is a ring for each such user: a write puts its revision and its task where the one RING writes before
stands. That is an update on its page which leaves the index alone, and nothing has to be cleared away. Users with fewer
tasks have no ring: to read all of theirs takes less time than keeping one.
"""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as upsert

from app.db.statement import USER_ID
from app.models import TASK_CHANGES

MANY: Final = sa.literal_column("5000", sa.Integer)
"""Tasks of a user, tombstones too, above which changes are logged."""

RING: Final = sa.literal_column("10000", sa.BigInteger)
"""Changes that are kept of each such user."""

NO_TASK: Final = sa.literal_column("0", sa.BigInteger)


def logged(bump: sa.CTE, row: sa.CTE, revision: sa.ColumnElement[int] | None = None) -> sa.CTE:
    """Log the written tasks of `row`, if `bump`, the written row of the user, has very many.

    A write that gives each of its tasks a revision of its own names it; otherwise it is that of `bump`. That is logged
    even where it is passed over because another request was first, to leave no gap.
    """
    number = bump.c.revision if revision is None else revision
    task_id = sa.func.coalesce(row.c.id, NO_TASK)
    values = {"user_id": USER_ID, "slot": slot(number), "revision": number, "task_id": task_id}
    entries = sa.select(*values.values()).select_from(bump.outerjoin(row, sa.true())).where(bump.c.tasks > MANY)
    insertion = upsert(TASK_CHANGES).from_select(list(values), entries, include_defaults=False)
    written = {name: insertion.excluded[name] for name in ("revision", "task_id")}
    return insertion.on_conflict_do_update(index_elements=["user_id", "slot"], set_=written).cte("log")


def slot(revision: sa.ColumnElement[int]) -> sa.ColumnElement[Any]:
    """Return where in the ring a revision stands."""
    return sa.cast(revision % RING, sa.Integer)

"""The list statement: one page as JSON text, and where the next one starts, for every filter and order."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import sqlalchemy as sa
from msgspec import structs
from sqlalchemy.dialects import postgresql

from app.db.statement import KNOWN, ONE, USER_ID, ZERO
from app.models import TASKS, USERS
from app.tasks import fields
from app.tasks.cursor import Cursor
from app.tasks.query import ListQuery

LIMIT: Final = sa.bindparam("limit", type_=sa.Integer)
NO_LIMIT: Final = sa.select(sa.cast(sa.null(), sa.BigInteger)).scalar_subquery()
"""LIMIT NULL in a form that the planner cannot see through: it plans for a part of the rows, and gets all of them."""

SORT_COLUMNS: Final = {
    "created": TASKS.c.created_at,
    "updated": TASKS.c.revision,
    "due_date": TASKS.c.due_date,
    "priority": TASKS.c.priority,
    "title": TASKS.c.title,
}


def shape(query: ListQuery) -> tuple[Any, ...]:
    """Return what decides the SQL of `query`; the rest are parameters."""
    return (
        query.status,
        bool(query.priority),
        bool(query.tag),
        bool(query.search),
        query.due_after is None,
        query.due_before is None,
        query.sort,
        query.order,
        query.cursor and query.cursor.key is None,
    )


def arguments(query: ListQuery) -> dict[str, Any]:
    """Return the parameters of `query` as `page` names them."""
    values = structs.asdict(query)
    if query.cursor is not None:
        key = query.cursor.key
        values["cursor_key"] = fields.priority(str(key)) if query.sort == "priority" else key
        values["cursor_id"] = query.cursor.id
    return values


Wire = Callable[[sa.FromClause], list[sa.ColumnElement[Any]]]
"""Gives the columns of a table of tasks as their JSON has them."""


def page(query: ListQuery, wire: Wire) -> sa.Select[Any]:
    """Select the user's revision and, unless `known` has it, an array of the page and of where the next one starts.

    Joined to the user with LATERAL, as two columns, the page takes PostgreSQL a tenth more time.
    """
    chosen = _chosen(query, wire)
    tasks = chosen.limit(LIMIT + ONE).offset(sa.bindparam("offset", type_=sa.BigInteger)).subquery("task")
    items = sa.func.array_agg(sa.cast(sa.func.row_to_json(tasks.table_valued()), sa.Text), type_=sa.ARRAY(sa.Text))
    text = sa.func.array_to_string(items[ONE:LIMIT], sa.literal_column("','"))
    key = tasks.c[SORT_COLUMNS[query.sort].name]
    last_key = sa.func.array_agg(key, type_=sa.ARRAY(key.type))[LIMIT]
    last_id = sa.func.array_agg(tasks.c.id, type_=sa.ARRAY(sa.BigInteger))[LIMIT]
    following = sa.case((sa.func.count() > LIMIT, sa.cast(sa.func.json_build_array(last_key, last_id), sa.Text)))
    body = (
        sa.literal_column("'['")
        .concat(sa.func.coalesce(text, sa.literal_column("''")))
        .concat(sa.literal_column("']'"))
    )
    contents = sa.select(postgresql.array([body, following])).select_from(tasks).scalar_subquery()
    unless_known = sa.case((USERS.c.revision != sa.all_(KNOWN), contents))
    return sa.select(USERS.c.revision, unless_known.label("contents")).where(USERS.c.id == USER_ID)


def _chosen(query: ListQuery, wire: Wire) -> sa.Select[Any]:
    """Select the user's tasks that `query` asks for, in its order, from its cursor on.

    Newest first is the order of an index. With filters it is walked in a query of its own, because the planner, which
    takes few tasks to match, may otherwise read and sort all of the user's. Any other order has to do that.
    """
    own = (
        sa.select(TASKS)
        .where(TASKS.c.user_id == USER_ID, TASKS.c.deleted_at.is_(None), *_place(query))
        .order_by(*_ordering(query))
    )
    filters = list(_filters(query, TASKS))
    if query.sort != "created" or not filters:
        return own.with_only_columns(*wire(TASKS)).where(*filters)
    walked = own.limit(NO_LIMIT).subquery("walked")
    return sa.select(*wire(walked)).where(*_filters(query, walked))


def _filters(query: ListQuery, tasks: sa.FromClause) -> Iterator[sa.ColumnElement[bool]]:
    column = tasks.c
    if query.status != "all":
        yield column.completed.is_(query.status == "completed")
    if query.priority:
        yield column.priority == sa.any_(sa.bindparam("priority", type_=sa.ARRAY(sa.SmallInteger)))
    if query.tag:
        yield column.tags.contains(sa.bindparam("tag", type_=sa.ARRAY(sa.Text)))
    if query.search:
        sought = sa.func.lower(sa.bindparam("search", type_=sa.Text))
        yield sa.or_(
            *(sa.func.strpos(sa.func.lower(text), sought) > ZERO for text in (column.title, column.description))
        )
    if query.due_after is not None:
        yield column.due_date >= sa.bindparam("due_after", type_=sa.DateTime(timezone=True))
    if query.due_before is not None:
        yield column.due_date < sa.bindparam("due_before", type_=sa.DateTime(timezone=True))


def _sort_key(sort: str, value: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.func.lower(value) if sort == "title" else value


def _ordering(query: ListQuery) -> list[sa.ColumnElement[Any]]:
    """Order by the sort and the id, both in the same direction; what has no due date comes last in either."""
    column = SORT_COLUMNS[query.sort]
    terms = [_sort_key(query.sort, column), TASKS.c.id]
    key, task_id = (term.asc() if query.order == "asc" else term.desc() for term in terms)
    return [key.nulls_last() if column.nullable else key, task_id]


def _place(query: ListQuery) -> Iterator[sa.ColumnElement[bool]]:
    if query.cursor is not None:
        yield _beyond(query, query.cursor)


def _beyond(query: ListQuery, cursor: Cursor) -> sa.ColumnElement[bool]:
    """Select what comes after the cursor in the order of `_ordering`."""
    column = SORT_COLUMNS[query.sort]
    ascending = query.order == "asc"
    cursor_id = sa.bindparam("cursor_id", type_=sa.BigInteger)
    if cursor.key is None:
        later = TASKS.c.id > cursor_id if ascending else TASKS.c.id < cursor_id
        return sa.and_(column.is_(None), later)
    place = sa.tuple_(_sort_key(query.sort, column), TASKS.c.id)
    reached = sa.tuple_(_sort_key(query.sort, sa.bindparam("cursor_key", type_=column.type)), cursor_id)
    beyond = place > reached if ascending else place < reached
    return sa.or_(beyond, column.is_(None)) if column.nullable else beyond

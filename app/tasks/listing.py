"""The list statement: one page as JSON text, and where the next one starts, for every filter and order."""

from collections.abc import Callable
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from app.db.statement import KNOWN, ONE, USER_ID
from app.models import TASKS, USERS
from app.tasks.cursor import DEFAULT_SORT, OF_TRASH, SORTS, Cursor
from app.tasks.parameters import PARAMETERS
from app.tasks.query import ListQuery

LIMIT: Final = sa.bindparam("limit", type_=sa.Integer)
NO_LIMIT: Final = sa.select(sa.cast(sa.null(), sa.BigInteger)).scalar_subquery()
"""LIMIT NULL in a form that the planner cannot see through: it plans for a part of the rows, and gets all of them."""

BARE: Final = ("[", "]")
"""What the tasks of a list stand between, unless it has an envelope."""

AsJSON = Callable[[sa.FromClause], list[sa.ColumnElement[Any]]]
"""Gives the columns of a table of tasks as their JSON has them."""


def brackets(envelope: str | None) -> tuple[str, str]:
    """Return what the tasks of a list stand between; `envelope` is an identifier, and needs no escaping anywhere."""
    opening, closing = BARE
    return (f'{{"{envelope}":{opening}', closing + "}") if envelope else BARE


def shape(query: ListQuery) -> tuple[Any, ...]:
    """Return what decides the SQL of `query`; everything else is a parameter."""
    names = tuple(name for name, _ in query.filters)
    return (query.trash, names, query.sort, query.order, query.cursor and query.cursor.key is None)


def arguments(query: ListQuery) -> dict[str, Any]:
    """Return the parameters of `query` as `page` names them."""
    values = {**dict(query.filters), "limit": query.limit, "offset": query.offset}
    if query.cursor is not None:
        values |= {"cursor_key": query.cursor.key, "cursor_id": query.cursor.id}
    return values


def page(query: ListQuery, as_json: AsJSON, brackets: tuple[str, str] = BARE) -> sa.Select[Any]:
    """Select the user's revision and, unless `known` has it, an array of the page and of where the next one starts.

    The JSON of the page is the tasks between `brackets`.

    Joined to the user with LATERAL, as two columns, the page takes PostgreSQL a tenth more time.
    """
    selected = _selected(query, as_json)
    tasks = selected.limit(LIMIT + ONE).offset(sa.bindparam("offset", type_=sa.BigInteger)).subquery("task")
    items = sa.func.array_agg(sa.cast(sa.func.row_to_json(tasks.table_valued()), sa.Text), type_=sa.ARRAY(sa.Text))
    text = sa.func.array_to_string(items[ONE:LIMIT], sa.literal_column("','"))
    key = tasks.c[SORTS[query.sort].column.name]
    last_key = sa.func.array_agg(key, type_=sa.ARRAY(key.type))[LIMIT]
    last_id = sa.func.array_agg(tasks.c.id, type_=sa.ARRAY(sa.BigInteger))[LIMIT]
    following = sa.case((sa.func.count() > LIMIT, sa.cast(sa.func.json_build_array(last_key, last_id), sa.Text)))
    opening, closing = brackets
    body = (
        sa.literal_column(f"'{opening}'")
        .concat(sa.func.coalesce(text, sa.literal_column("''")))
        .concat(sa.literal_column(f"'{closing}'"))
    )
    contents = sa.select(postgresql.array([body, following])).select_from(tasks).scalar_subquery()
    unless_known = sa.case((USERS.c.revision != sa.all_(KNOWN), contents))
    return sa.select(USERS.c.revision, unless_known.label("contents")).where(USERS.c.id == USER_ID)


def _selected(query: ListQuery, as_json: AsJSON) -> sa.Select[Any]:
    """Select the user's tasks that `query` asks for, in its order, from its cursor on.

    Newest first is the order of an index, and in the trash the latest deletion first. With filters it is walked in a
    query of its own, because the planner, which takes few tasks to match, may otherwise read and sort all of the
    user's. Any other order has to do that.
    """
    kept = TASKS.c.deleted_at.is_not(None) if query.trash else TASKS.c.deleted_at.is_(None)
    own = sa.select(TASKS).where(TASKS.c.user_id == USER_ID, kept).order_by(*_ordering(query))
    if query.cursor is not None:
        own = own.where(_beyond(query, query.cursor))
    if query.sort != (OF_TRASH if query.trash else DEFAULT_SORT) or not query.filters:
        return own.with_only_columns(*as_json(TASKS)).where(*_conditions(query, TASKS))
    walked = own.limit(NO_LIMIT).subquery("walked")
    return sa.select(*as_json(walked)).where(*_conditions(query, walked))


def _conditions(query: ListQuery, tasks: sa.FromClause) -> list[sa.ColumnElement[bool]]:
    """Return what each filter asks of a task; its value is always a parameter of its name."""
    conditions = []
    for name, _ in query.filters:
        parameter = PARAMETERS[name]
        assert parameter.condition is not None  # noqa: S101 - that makes it a filter
        conditions.append(parameter.condition(tasks.c, sa.bindparam(name, type_=parameter.type_)))
    return conditions


def _ordering(query: ListQuery) -> list[sa.ColumnElement[Any]]:
    """Order by the sort and the id, both in the same direction; what has no due date comes last in either."""
    sort = SORTS[query.sort]
    terms = (sort.key(sort.column), TASKS.c.id)
    key, task_id = (term.asc() if query.order == "asc" else term.desc() for term in terms)
    return [key.nulls_last() if sort.has_gaps else key, task_id]


def _beyond(query: ListQuery, cursor: Cursor) -> sa.ColumnElement[bool]:
    """Select what comes after the cursor in the order of `_ordering`."""
    sort = SORTS[query.sort]
    ascending = query.order == "asc"
    cursor_id = sa.bindparam("cursor_id", type_=sa.BigInteger)
    if cursor.key is None:
        later = TASKS.c.id > cursor_id if ascending else TASKS.c.id < cursor_id
        return sa.and_(sort.column.is_(None), later)
    place = sa.tuple_(sort.key(sort.column), TASKS.c.id)
    reached = sa.tuple_(sort.key(sa.bindparam("cursor_key", type_=sort.column.type)), cursor_id)
    beyond = place > reached if ascending else place < reached
    return sa.or_(beyond, sort.column.is_(None)) if sort.has_gaps else beyond

"""Every list that can be asked for: each combination of filters, sort, order and place, and the statements for them."""

from collections.abc import Iterator
from itertools import product
from urllib.parse import urlencode

from app.tasks import cursor
from app.tasks.cursor import OF_TRASH, ORDERS, SORTS
from app.tasks.query import ListQuery, parse
from app.tasks.rules import PRIORITIES
from app.tasks.statements import TaskStatements

STATEMENTS = TaskStatements(PRIORITIES)
"""Keeps each statement that it has compiled; all those for the lists below take half a minute."""

STATUSES = ("all", "pending", "completed")
OF_LISTS = [sort for sort in SORTS if sort != OF_TRASH]
DUE: tuple[dict[str, str], ...] = (
    {},
    {"due_after": "2025-03-01"},
    {"due_before": "2025-09-01"},
    {"due_after": "2025-03-01", "due_before": "2025-09-01"},
)
PLACES = {
    "created": ['["2025-06-01T00:00:00Z",50000]'],
    "updated": ["[1750000000000000,50000]"],
    "due_date": ['["2025-06-01T00:00:00Z",50000]', "[null,50000]"],
    "priority": ['["MEDIUM",50000]'],
    "title": ['["Fix the roof",50000]'],
    "deleted": ['["2025-06-01T00:00:00Z",50000]'],
}
"""Sort key and id of a task somewhere in the middle."""


def queries() -> Iterator[ListQuery]:
    for status, priority, tag, search, due, sort, order in product(
        STATUSES,
        ({}, {"priority": "HIGH"}),
        ({}, {"tag": "home"}),
        ({}, {"search": "milk"}),
        DUE,
        OF_LISTS,
        ORDERS,
    ):
        cursors = ({"cursor": cursor.encode(sort, order, place)} for place in PLACES[sort])
        for place in ({}, {"offset": "100"}, *cursors):
            filters = {"status": status, **priority, **tag, **search, **due}
            yield _query({**filters, "sort": sort, "order": order, **place})
    for tag, search, sort, order in product(({}, {"tag": "home"}), ({}, {"search": "milk"}), OF_LISTS, ORDERS):
        for place in ({}, {"cursor": cursor.encode(sort, order, PLACES[sort][0])}):
            yield _query({"tags": "work,urgent", **tag, **search, "sort": sort, "order": order, **place})
    for filters, sort, order in product(({}, {"search": "milk"}, {"tag": "home", "priority": "HIGH"}), SORTS, ORDERS):
        for place in ({}, *({"cursor": cursor.encode(sort, order, place)} for place in PLACES[sort])):
            yield _query({"status": "deleted", **filters, "sort": sort, "order": order, **place})


def _query(parameters: dict[str, str]) -> ListQuery:
    return parse(urlencode({**parameters, "limit": "50"}).encode())

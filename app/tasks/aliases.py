"""The names that other people's frontends use for our paths and list parameters, as docs/compatibility.md lists them.

A known name that cannot be honoured is refused: ignored, it would make a wrong list.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from app.tasks.parameters import PARAMETERS

PREFIXES: Final = ("/api/tasks", "/api/v1", "/api/health")
SUFFIXES: Final = ("/toggle", "/toggle/", "/filtered", "/filtered/")
COMPLETE: Final = ("/complete", "/complete/")
PATHS: Final = (
    (re.compile(r"/api/v1(/.*)?", re.DOTALL), r"/api\1"),
    (re.compile(r"/api/tasks(/.*)?", re.DOTALL), r"/api/me/tasks\1"),
    (re.compile(r"/api/health(/*)"), r"/health\1"),
)
"""Each is applied to what the ones before have made of the path."""

FILTERED: Final = re.compile(r"(/api/[^/]+/tasks)/filtered(/*)")
READS: Final = {"GET", "HEAD", "OPTIONS"}
COMPLETION: Final = re.compile(r"(/api/[^/]+/tasks/[^/]+)/(?:complete|toggle)(/*)")
METHODS: Final = {"POST": "PATCH", "PUT": "PATCH"}
"""Of a completion."""

NAMES: Final[Mapping[str, str]] = {
    other: own
    for own, others in {
        "sort": ("sort_by", "order_by", "ordering", "sort_field", "_sort"),
        "order": ("sort_order", "sort_dir", "sort_direction", "order_dir", "direction", "_order"),
        "search": ("q", "query", "keyword", "search_term", "search_query"),
        "limit": ("per_page", "page_size", "size", "take", "_limit"),
        "offset": ("skip", "_start"),
        "page": ("page_number", "_page"),
        "status": ("status_filter", "filter_status"),
        "completed": ("is_completed", "is_complete", "is_done", "done"),
        "priority": ("priorities", "priority_filter"),
        "due_after": ("due_date_from", "due_date_after", "due_from"),
        "due_before": ("due_date_to", "due_date_before", "due_to"),
    }.items()
    for other in others
}
TRANSLATED: Final = {*PARAMETERS, "completed", "page"}

STATUSES: Final = {
    **dict.fromkeys(("active", "todo", "incomplete"), "pending"),
    **dict.fromkeys(("done", "complete"), "completed"),
    **dict.fromkeys(("trash", "trashed"), "deleted"),
}
COMPLETED: Final = {"true": "completed", "1": "completed", "false": "pending", "0": "pending"}
ORDERS: Final = {"ascending": "asc", "descending": "desc"}
SORTS: Final = {
    **dict.fromkeys(("created_at", "created_date", "date_created", "date"), "created"),
    **dict.fromkeys(("updated_at", "updated_date", "date_updated", "modified"), "updated"),
    **dict.fromkeys(("due", "due_at", "deadline"), "due_date"),
    **dict.fromkeys(("alpha", "alphabetical", "name"), "title"),
}

REFUSED: Final[Mapping[str, str]] = {
    name: sentence
    for sentence, names in {
        "Tasks have tags instead; use `tag` or `tags`": (
            *("category", "categories", "category_id", "project", "projects", "project_id", "list", "list_id"),
            *("label", "labels", "label_id", "folder", "folder_id", "board", "board_id", "tag_id", "tag_ids"),
        ),
        "Repeat `tag` for tasks with all of the tags; `tags` is for any of them": (
            *("tag_mode", "tags_mode", "match_all_tags"),
        ),
        "Use `due_after` and `due_before`": (
            *("due", "due_date", "due_at", "due_on", "due_today", "due_soon", "deadline", "overdue", "is_overdue"),
            *("today", "upcoming", "date", "date_from", "date_to", "date_range", "start_date", "end_date"),
            *("from", "to", "has_due_date", "no_due_date"),
        ),
        "Use `status`": ("state", "include_completed", "show_completed", "hide_completed", "completion_status"),
        "Use `status=deleted` for tasks that were deleted; no other list has them": (
            *("deleted", "is_deleted", "include_deleted", "show_deleted", "with_deleted", "only_deleted"),
            *("trash", "trashed", "in_trash", "deleted_at"),
        ),
        "Use `search`": ("title", "description", "name", "text"),
        "Tasks are assigned to nobody; a list has those of the user in the path": (
            *("assignee", "assignee_id", "assigned_to", "assigned_to_me", "owner", "owner_id", "created_by"),
        ),
        "Use `status`, `priority`, `tag`, `tags`, `search`, `due_after` or `due_before`": (
            *("filter", "filters", "filter_by", "where", "view", "archived", "is_archived", "starred", "is_starred"),
            *("favorite", "pinned", "important", "is_important", "recurring", "is_recurring", "parent_id", "ids"),
            *("created_at", "created_after", "created_before", "created_from", "created_to"),
            *("updated_at", "updated_after", "updated_before", "updated_since", "min_priority", "max_priority"),
        ),
    }.items()
    for name in names
}
CHOOSES_NOTHING: Final = {"", "all"}
"""What a form sends for a filter that nobody has touched; a refused name is ignored then."""

WRITTEN: Final = re.compile(r"(.*?)(?:\[\d*\])?((?:\[|(?<=.)__).*)?", re.DOTALL)
"""A name, the brackets of an array (`priority[]`, `priority[0]`), and more than a name (`due_date[gte]`, `tag__in`)."""

SORT: Final = re.compile(r"([-+ ]?)(\w+?)(?:[_:., -](asc|desc))?", re.ASCII)
SIGNS: Final = {"-": "desc", "+": "asc", " ": "asc"}
"""A `+` that was not escaped arrives as a space."""

LONGEST_REMEMBERED: Final = 256
"""Characters of a path whose translation is kept; anybody can send any path."""

HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def own_address(method: str, path: str) -> tuple[str, str] | None:
    """Return our own method and path for a request, None where it has them."""
    if not (path.startswith(PREFIXES) or path.endswith(SUFFIXES) or (method in METHODS and path.endswith(COMPLETE))):
        return None
    return (_remembered if len(path) <= LONGEST_REMEMBERED else _translate)(method, path)


def _translate(method: str, path: str) -> tuple[str, str] | None:
    own_method, own = method, path
    for other, replacement in PATHS:
        own = match.expand(replacement) if (match := other.fullmatch(own)) else own
    if method in READS and (match := FILTERED.fullmatch(own)):
        own = match.expand(r"\1\2")
    elif match := COMPLETION.fullmatch(own):
        own_method, own = METHODS.get(method, method), match.expand(r"\1/complete\2")
    return None if (own_method, own) == (method, path) else (own_method, own)


_remembered: Final = lru_cache(maxsize=1024)(_translate)


def own_name(written: str) -> str:
    """Return our name for a parameter, or its own in snake case. Raises ValueError for more than a name."""
    if written in PARAMETERS:
        return written
    match = WRITTEN.fullmatch(written)
    assert match is not None  # noqa: S101 - its first and last parts match any rest
    snake = _snake(match[1])
    name = NAMES.get(snake, snake)
    if match[2] and name in TRANSLATED:
        raise ValueError(f"Use `{name}`")
    return name


def own_values(written: str, text: str) -> list[tuple[str, str]]:
    """Return what a parameter says by our names. Raises ValueError with a sentence for what cannot be honoured."""
    name = own_name(written)
    if name in REFUSED and text.lower() not in CHOOSES_NOTHING:
        raise ValueError(REFUSED[name])
    read = VALUES.get(name)
    return read(text) if read else [(name, text)]


def _snake(text: str) -> str:
    return HUMP.sub("_", text).lower().replace("-", "_")


def _status(text: str) -> list[tuple[str, str]]:
    return [("status", STATUSES.get(text.lower(), text.lower()))]


def _completed(text: str) -> list[tuple[str, str]]:
    if text.lower() not in COMPLETED:
        raise ValueError("Must be true or false")
    return [("status", COMPLETED[text.lower()])]


def _order(text: str) -> list[tuple[str, str]]:
    return [("order", ORDERS.get(text.lower(), text.lower()))]


def _sort(text: str) -> list[tuple[str, str]]:
    """Read a sort with its order before or behind it: `-created_at`, `createdAt:desc`."""
    match = SORT.fullmatch(HUMP.sub("_", text).lower())
    if match is None:
        return [("sort", text)]
    sign, column, direction = match.groups()
    orders = {SIGNS.get(sign), direction} - {None}
    if len(orders) > 1:
        raise ValueError("Asks for both orders")
    return [("sort", SORTS.get(column, column)), *(("order", order) for order in orders if order)]


VALUES: Final[Mapping[str, Callable[[str], list[tuple[str, str]]]]] = {
    "status": _status,
    "completed": _completed,
    "order": _order,
    "sort": _sort,
}

"""What the documentation says of the account routes."""

from collections.abc import Sequence
from typing import Any, Final

from app.http.openapi import operation
from app.tasks.openapi import EVERY_ROUTE, USER_ID

NUMBERS: Final = {"total": 12, "pending": 9, "completed": 3}


def _account(name: str, summary: str, success: str, example: Any = None) -> dict[str, Any]:
    return operation(name, summary, success=success, example=example, parameters=[USER_ID], problems=EVERY_ROUTE)


PROFILE: Final = _account(
    "getProfile",
    "Profile",
    "The profile",
    {
        "id": "K3vYt0aQ",
        "email": "ada@example.com",
        "name": "Ada",
        "first_seen_at": "2026-11-01T09:00:00.123456+00:00",
        "revision": 1793523600123461,
        "counts": NUMBERS,
    },
)
STATS: Final = _account(
    "getStats",
    "Statistics",
    "The numbers",
    {**NUMBERS, "overdue": 1, "by_priority": {"HIGH": 2, "MEDIUM": 9, "LOW": 1}},
)
ERASE: Final = _account("eraseAccount", "Erase the account", "Nothing of the user is left")


def name_priorities(document: Any, names: Sequence[str]) -> None:
    """Name the members of `by_priority`, as this installation's answers do, in place."""
    counts = document.components.schemas["Stats"].properties["by_priority"]
    counts.properties = dict.fromkeys(reversed(names), counts.additional_properties)
    counts.required = list(counts.properties)
    counts.additional_properties = False

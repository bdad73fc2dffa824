"""What the documentation says of the delta feed."""

from typing import Final

from app.http.openapi import IF_NONE_MATCH, operation, parameter
from app.tasks.changes import since
from app.tasks.errors import ChangesGone
from app.tasks.openapi import EVERY_ROUTE, LIST_ETAG, TASK, USER_ID, invalid

PARAMETERS: Final = [
    parameter(name, "query", description, since.schema(name)) for name, description in since.DESCRIPTIONS.items()
]
CHANGES: Final = operation(
    "listChanges",
    "List changes",
    success="What changed, in the order of the writes",
    example={
        "changes": [{**TASK, "deleted_at": TASK["updated_at"]}],
        "revision": TASK["revision"],
        "next": f"/api/me/tasks/changes?since={TASK['revision']}",
    },
    headers={"ETag": LIST_ETAG},
    parameters=[USER_ID, *PARAMETERS, IF_NONE_MATCH],
    problems=[*EVERY_ROUTE, ChangesGone, invalid("limit", f"Must be a whole number from 1 to {since.MAXIMUM_LIMIT}")],
)

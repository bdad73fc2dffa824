"""What the documentation says of the task routes: examples, parameters, headers and problems of each."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Final

from litestar.openapi.spec import Reference, Schema
from litestar.openapi.spec.enums import OpenAPIType
from msgspec import structs

from app import errors
from app.auth.bearer import Forbidden, InsufficientScope, Unauthorized
from app.http.openapi import ETAG, IF_MATCH, IF_NONE_MATCH, header, operation, parameter
from app.tasks import rules
from app.tasks.errors import IdempotencyKeyReused, MalformedIdempotencyKey, StaleRevision, TaskDeleted, TaskNotFound
from app.tasks.key import TASK_KEY
from app.tasks.parameters import PARAMETERS
from app.tasks.schemas import TaskCreate

USER_ID: Final = parameter(
    "user_id",
    "path",
    "The token's `sub`, or `me` for the same.",
    Schema(type=OpenAPIType.STRING, pattern="^[A-Za-z0-9_-]{1,128}$"),
    "me",
)
TASK_ID: Final = parameter(
    "task_id",
    "path",
    "Id of the task, or its `uid`.",
    TASK_KEY,
)
LIST_PARAMETERS: Final = [
    parameter(name, "query", each.description, each.kind.schema) for name, each in PARAMETERS.items()
]
LIST_ETAG: Final = header(
    "The revision, quoted; for If-None-Match. It is a weak tag where the list is compressed.",
    '"1795336200123456"',
    pattern='^(W/)?"[0-9]+"$',
)
LOCATION: Final = header("Path of the new task.", "/api/me/tasks/1")
REPLAYED: Final = header("The task was there already, and nothing was written.", "true", required=False)
IDEMPOTENCY_KEY: Final = parameter(
    "Idempotency-Key",
    "header",
    "The new task's `uid`, bare or quoted, for a create that may be sent again; not digits only.",
    Schema(type=OpenAPIType.STRING, pattern='^("[A-Za-z0-9_-]{8,64}"|[A-Za-z0-9_-]{8,64})$'),
)
LINK: Final = header(
    'The next page, as `<path>; rel="next"` (RFC 8288); absent on the last one.',
    '</api/me/tasks?limit=50&cursor=WyJjcmVhdGVkIiwiZGVzYyJd>; rel="next"',
    required=False,
)

EVERY_ROUTE: Final = (
    Unauthorized,
    Forbidden,
    InsufficientScope,
    errors.TooManyRequests,
    errors.DatabaseUnavailable,
)
A_BODY: Final = (errors.MalformedJSON, errors.PayloadTooLarge, errors.UnsupportedMediaType)


def invalid(field: str, message: str) -> errors.ValidationFailed:
    """Return an example of a broken rule."""
    return errors.ValidationFailed([errors.FieldError(field, message)])


BLANK_TITLE: Final = invalid("title", "Must not be blank")
WRITTEN: Final[dict[str, Any]] = {
    field.name: field.type.__metadata__[0].schema_extra["examples"][0]
    for field in structs.fields(TaskCreate)
    if hasattr(field.type, "__metadata__")
}
UID: Final = WRITTEN.pop("uid")
TASK: Final = {
    "id": 1,
    "uid": UID,
    "user_id": "K3vYt0aQ",
    **WRITTEN,
    "created_at": "2026-11-22T08:30:00.123456+00:00",
    "updated_at": "2026-11-22T08:30:00.123456+00:00",
    "revision": 1795336200123456,
}

LIST: Final = operation(
    "listTasks",
    "List tasks",
    success="One page of tasks",
    example=[TASK],
    headers={"ETag": LIST_ETAG, "Link": LINK},
    parameters=[USER_ID, *LIST_PARAMETERS, IF_NONE_MATCH],
    problems=[*EVERY_ROUTE, invalid("limit", "Must be a whole number from 1 to 1000")],
)
CREATE: Final = operation(
    "createTask",
    "Create a task",
    success="The new task",
    body={**WRITTEN, "due_date": "2026-12-01T10:00:00Z"},
    example=TASK,
    headers={"ETag": ETAG, "Location": LOCATION, "Idempotent-Replayed": REPLAYED},
    parameters=[USER_ID, IDEMPOTENCY_KEY],
    problems=[*EVERY_ROUTE, *A_BODY, BLANK_TITLE, MalformedIdempotencyKey, IdempotencyKeyReused, TaskDeleted],
)
READ: Final = operation(
    "getTask",
    "Read a task",
    success="The task",
    example=TASK,
    headers={"ETag": ETAG},
    parameters=[USER_ID, TASK_ID, IF_NONE_MATCH],
    problems=[*EVERY_ROUTE, TaskNotFound],
)


def _write(
    name: str, summary: str, body: Any, invalid: errors.ValidationFailed, *, deprecated: bool = False
) -> dict[str, Any]:
    return operation(
        name,
        summary,
        success="The task as it is now",
        body=body,
        example=TASK,
        headers={"ETag": ETAG},
        parameters=[USER_ID, TASK_ID, IF_MATCH],
        problems=[*EVERY_ROUTE, *A_BODY, TaskNotFound, StaleRevision, invalid],
        deprecated=deprecated,
    )


UPDATED: Final = {"title": "Buy oat milk", "priority": "HIGH"}
UPDATE: Final = _write("updateTask", "Update a task", UPDATED, BLANK_TITLE)
PUT: Final = _write("putTask", "Update a task (PUT)", UPDATED, BLANK_TITLE, deprecated=True)
COMPLETE: Final = _write(
    "completeTask",
    "Complete or reopen a task",
    {"completed": True},
    invalid("completed", "Expected `bool`, got `str`"),
)
DELETE: Final = operation(
    "deleteTask",
    "Delete a task",
    success="The task is gone",
    parameters=[USER_ID, TASK_ID, IF_MATCH],
    problems=[*EVERY_ROUTE, TaskNotFound, StaleRevision],
)
RESTORE: Final = operation(
    "restoreTask",
    "Restore a deleted task",
    success="The task as it is now",
    example=TASK,
    headers={"ETag": ETAG},
    parameters=[USER_ID, TASK_ID, IF_MATCH],
    problems=[*EVERY_ROUTE, TaskNotFound, StaleRevision],
)


def spell_priorities(document: Any, names: Sequence[str]) -> None:
    """Add the schema of priorities, and write them as this installation's answers do, everywhere, in place."""
    document.components.schemas["Priority"] = Schema(
        type=OpenAPIType.STRING, enum=[*reversed(names)], description="How urgent a task is."
    )
    _spell(document, dict(zip(rules.PRIORITIES, names, strict=True)))


def wrap_list(document: Any, envelope: str) -> None:
    """Describe lists as this installation answers them, within an object, in place."""
    content = document.paths["/api/{user_id}/tasks"].get.responses["200"].content["application/json"]
    document.components.schemas["TaskList"] = Schema(
        type=OpenAPIType.OBJECT, properties={envelope: content.schema}, required=[envelope], title="TaskList"
    )
    content.schema = Reference("#/components/schemas/TaskList")
    content.example = {envelope: content.example}


def _spell(node: Any, spelling: Mapping[str, str]) -> Any:
    match node:
        case str():
            return spelling.get(node, node)
        case list():
            return [_spell(member, spelling) for member in node]
        case dict():
            return {_spell(key, spelling): _spell(member, spelling) for key, member in node.items()}
    if is_dataclass(node):
        for field in fields(node):
            setattr(node, field.name, _spell(getattr(node, field.name), spelling))
    return node

"""What a task is called: by the id that the database gave it, or by the uid that its client did, asking nobody."""

import re
from typing import Any, Final

from litestar.openapi.spec import Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import BodyKwarg

from app.errors import FieldError, ValidationFailed
from app.http import headers
from app.tasks import rules
from app.tasks.errors import MalformedIdempotencyKey, TaskNotFound

TaskKey = int | str
"""A task's id, or its uid: both stand in the same place of a path, for no uid is a number."""

UID: Final = re.compile(r"(?![0-9]+\Z)[A-Za-z0-9_-]{8,64}", re.ASCII)
RESERVED: Final = frozenset({"filtered", "changes", "batch"})
"""What paths have in the place of a task, ours or those that docs/compatibility.md lists; none of them is a uid."""

ID: Final = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
BIGGEST_ID: Final = str(2**63 - 1)

UID_RULE: Final = "8 to 64 of A-Z a-z 0-9 - _, not digits only"
KEY: Final = re.compile(rb'("?)([A-Za-z0-9_-]*)\1')
"""An Idempotency-Key: a string as RFC 9651 writes it, or its characters without the quotes around them."""

TASK_KEY: Final = Schema(
    one_of=[
        Schema(type=OpenAPIType.INTEGER, minimum=1, maximum=2**63 - 1),
        Schema(type=OpenAPIType.STRING, pattern="^[A-Za-z0-9_-]{8,64}$"),
    ]
)
UID_WRITTEN: Final = BodyKwarg(description="The name that the client gave the task, or its id as text.")
UID_FIELD: Final = rules.field(
    f"The client's own name for the task: {UID_RULE}. Sent again with the same body, it creates nothing.",
    "9b2e4c1a-5d07-4f7e-8a63-0c1d2e3f4a5b",
    min_length=8,
    max_length=64,
    **rules.or_null(OpenAPIType.STRING),
)


def is_uid(text: str) -> bool:
    """Tell whether a client may call a task so."""
    return UID.fullmatch(text) is not None and text not in RESERVED


def uid(value: str | None) -> str | None:
    """Check the name that a client gives a new task, if it gives one."""
    if value is not None and not is_uid(value):
        raise ValueError(f"Must be {UID_RULE}, and none of {', '.join(sorted(RESERVED))}")
    return value


def idempotency_key(scope: Any) -> str | None:
    """Return the uid that the header Idempotency-Key gives, None without one. Raises MalformedIdempotencyKey."""
    sent = headers.values(scope, b"idempotency-key")
    if not sent:
        return None
    match = KEY.fullmatch(sent[0].strip(b" \t"))
    key = match[2].decode() if match and len(sent) == 1 else ""
    if not is_uid(key):
        raise MalformedIdempotencyKey
    return key


def new_uid(scope: Any, given: str | None) -> str | None:
    """Return what a new task is to be called, by the request's header, by its body, or by both.

    Raises MalformedIdempotencyKey, and ValidationFailed where they disagree.
    """
    key = idempotency_key(scope)
    if key is not None and given is not None and key != given:
        raise ValidationFailed([FieldError("uid", "Must be the Idempotency-Key, where both are given")])
    return key or given


def task_key(text: str) -> TaskKey:
    """Read what stands for a task in a path. Raises TaskNotFound for what no task can be called."""
    if ID.fullmatch(text) and (len(text) < len(BIGGEST_ID) or text <= BIGGEST_ID):
        return int(text)
    if is_uid(text):
        return text
    raise TaskNotFound


async def task_key_is_possible(connection: Any, _: Any) -> None:
    """Let through what a task can be called, before the body is read. Raises TaskNotFound for anything else."""
    task_key(connection.path_params["task_id"])

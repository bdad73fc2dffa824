"""What a task is called: by the id that the database gave it, or by the uid that its client did, asking nobody."""

import re
from typing import Any, Final

from litestar.openapi.spec import Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import BodyKwarg

from app.tasks.errors import TaskNotFound

TaskKey = int | str
"""A task's id, or its uid: both stand in the same place of a path, for no uid is a number."""

UID: Final = re.compile(r"(?![0-9]+\Z)[A-Za-z0-9_-]{8,64}", re.ASCII)
RESERVED: Final = frozenset({"filtered", "changes", "batch"})
"""What paths have in the place of a task, ours or those that docs/compatibility.md lists; none of them is a uid."""

ID: Final = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
BIGGEST_ID: Final = str(2**63 - 1)

UID_RULE: Final = "8 to 64 of A-Z a-z 0-9 - _, not digits only"
TASK_KEY: Final = Schema(
    one_of=[
        Schema(type=OpenAPIType.INTEGER, minimum=1, maximum=2**63 - 1),
        Schema(type=OpenAPIType.STRING, pattern="^[A-Za-z0-9_-]{8,64}$"),
    ]
)
UID_WRITTEN: Final = BodyKwarg(description="The name that the client gave the task, or its id as text.")


def is_uid(text: str) -> bool:
    """Tell whether a client may call a task so."""
    return UID.fullmatch(text) is not None and text not in RESERVED


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

import re
from typing import Any, Final

from app.tasks.errors import TaskNotFound

TASK_ID: Final = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
BIGGEST_ID: Final = str(2**63 - 1)


def task_id_is_possible(connection: Any, _: Any) -> None:
    """Let through what can be a task's id, before the body is read. Raises TaskNotFound for anything else."""
    text = connection.path_params["task_id"]
    if not TASK_ID.fullmatch(text) or (len(text) == len(BIGGEST_ID) and text > BIGGEST_ID):
        raise TaskNotFound

import re
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from app.tasks.errors import TaskNotFound

TASK_ID: Final = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
BIGGEST_ID: Final = 2**63 - 1


async def names_a_task(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Let through what can be a task's id, before the body is read. Raises TaskNotFound."""
    text = connection.scope["path_params"]["task_id"]
    if connection.scope.get("method") != "OPTIONS" and not (TASK_ID.fullmatch(text) and float(text) <= BIGGEST_ID):
        raise TaskNotFound

import re
from typing import Final

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from app.tasks.errors import TaskNotFound

TASK_ID: Final = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
BIGGEST_ID: Final = str(2**63 - 1)


class NamesATask(ASGIMiddleware):
    """Lets through what can be a task's id, before the body is read; anything else is 404."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Check the path."""
        text = scope["path_params"]["task_id"]
        if not (TASK_ID.fullmatch(text) and (len(text) < len(BIGGEST_ID) or text <= BIGGEST_ID)):
            raise TaskNotFound
        await next_app(scope, receive, send)

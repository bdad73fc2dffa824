from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from app.errors import Problem

ALIAS: Final = "me"
"""Stands for the caller's own id in every path."""


async def owns_path(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Let the caller into paths of their own only. Raises Problem (403)."""
    if connection.scope.get("method") == "OPTIONS":
        return
    if connection.scope["path_params"]["user_id"] not in {ALIAS, connection.scope["user"].id}:
        raise Problem(403, "forbidden", "Not authorized to access this task")

"""Puts the caller into the scope, or answers 401 or 403, before anything else of a request is looked at."""

from collections.abc import Iterable

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from app.auth.guard import require_own_path
from app.auth.tokens import TokenVerifier
from app.errors import Problem

PUBLIC = {"public": True}
"""Options of a handler that needs no token. Exemptions are marked here, never by path."""


class BearerToken(ASGIMiddleware):
    """Authenticates by `Authorization: Bearer` (RFC 6750); cookies and URLs are never read."""

    scopes = (ScopeType.HTTP,)
    exclude_opt_key = "public"

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Authenticate every method but OPTIONS, which tells no more than the documentation."""
        if scope["type"] == ScopeType.HTTP and scope["method"] != "OPTIONS":
            token = bearer(scope["headers"])
            caller = await self._verifier.verify(token) if token else None
            if caller is None:
                raise Problem(401, "unauthorized", "Invalid or missing token", headers={"WWW-Authenticate": "Bearer"})
            scope["user"] = caller
            require_own_path(scope)
        await next_app(scope, receive, send)


def bearer(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the token of the only Authorization header, if there is exactly one and its scheme is Bearer."""
    given = [value for name, value in headers if name == b"authorization"]
    if len(given) != 1:
        return None
    scheme, _, token = given[0].partition(b" ")
    return token.lstrip(b" ").decode("latin-1") if scheme.lower() == b"bearer" else None

"""Puts the caller into the scope, or answers 401 or 403, before anything else of a request is looked at."""

from typing import Final

import structlog
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from app.auth.guard import require_own_path
from app.auth.refusal import Refused
from app.auth.tokens import TokenVerifier
from app.errors import Problem

PUBLIC: Final = {"public": True}
"""Options of a handler that needs no token. Exemptions are marked here, never by path."""

logger = structlog.get_logger("app.auth")


class Unauthorized(Problem):
    """There is no token, or none that counts; which rule refused it is for the operator to know."""

    status, code, detail = 401, "unauthorized", "Invalid or missing token"

    def __init__(self, *, sent: bool = False) -> None:
        super().__init__()
        self.headers = {"WWW-Authenticate": 'Bearer error="invalid_token"' if sent else "Bearer"}


class BearerToken(ASGIMiddleware):
    """Authenticates by `Authorization: Bearer` (RFC 6750); cookies and URLs are never read."""

    scopes = (ScopeType.HTTP,)
    exclude_opt_key = "public"

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Authenticate every method but OPTIONS, which tells no more than the documentation."""
        if scope["type"] == ScopeType.HTTP and scope["method"] != "OPTIONS":
            given = [value for name, value in scope["headers"] if name == b"authorization"]
            try:
                scope["user"] = await self._verifier.verify(bearer(given))
            except Refused as refusal:
                logger.debug("token refused", reason=refusal.reason, request_id=scope["state"].get("request_id"))
                raise Unauthorized(sent=bool(given)) from None
            require_own_path(scope)
        await next_app(scope, receive, send)


def bearer(given: list[bytes]) -> str:
    """Return the token of the one Authorization header. Raises Refused."""
    if len(given) != 1:
        raise Refused("no token was sent" if not given else "more than one Authorization header was sent")
    scheme, _, token = given[0].partition(b" ")
    if scheme.lower() != b"bearer":
        raise Refused("the Authorization header has to be `Bearer` and the token")
    return token.lstrip(b" ").decode("latin-1")

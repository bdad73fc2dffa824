"""Who asks, and whether path and method are theirs: decided before anything else of a request is looked at."""

from types import MappingProxyType
from typing import Any, Final, get_args

import structlog
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from app.auth.caller import Caller, Refused, Rule
from app.auth.scopes import READ, needed
from app.auth.tokens import TokenVerifier
from app.errors import Problem
from app.ratelimit.limiter import RateLimiter

PUBLIC: Final = {"public": True}  # options of a handler that needs no token; exemptions are marked here, never by path
FIRST_PARTY: Final[dict[str, Any]] = {"first_party": True}  # options of a handler that no OAuth client may call
ACCEPTED: Final = "accepted"
ME: Final = "me"  # stands for the caller's own id in every path

logger = structlog.get_logger("app.auth")


class Unauthorized(Problem):
    """There is no token, or none that is accepted; which rule refused it is for the operator to know."""

    status, code, detail = 401, "unauthorized", "Invalid or missing token"
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})

    def __init__(self, rule: Rule = "missing") -> None:
        super().__init__()
        self.rule = rule
        if rule != "missing":
            self.headers = MappingProxyType({"WWW-Authenticate": 'Bearer error="invalid_token"'})


class Forbidden(Problem):
    """The path belongs to another user, or to none."""

    status, code, detail = 403, "forbidden", "Not authorized to access this path; `me` stands for your own user id"


class InsufficientScope(Problem):
    """An OAuth client has the user's token, but not the scope that the request needs (RFC 6750, section 3.1)."""

    status, code = 403, "insufficient_scope"
    detail = "The OAuth client that sent the token was not granted the scope that this needs"

    def __init__(self, scope: str | None = READ) -> None:
        """Name the scope that would do, or None where none does."""
        super().__init__()
        if scope is None:
            self.detail = "Only the user's own app may do this, no OAuth client"
        wanted = "" if scope is None else f', scope="{scope}"'
        self.headers = {"WWW-Authenticate": f'Bearer error="insufficient_scope"{wanted}'}


class BearerToken(ASGIMiddleware):
    """Lets callers into their own paths only. A guard of Litestar's would cost 8 µs: it copies the whole handler."""

    scopes = (ScopeType.HTTP,)
    exclude_opt_key = "public"

    def __init__(self, verifier: TokenVerifier, limiter: RateLimiter | None = None) -> None:
        self.verifier = verifier
        self._limiter = limiter
        self.verdicts = dict.fromkeys((ACCEPTED, *get_args(Rule)), 0)
        """How many tokens were accepted, and refused by each rule."""

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Check every method but OPTIONS, which tells no more than the documentation."""
        if scope["type"] == ScopeType.HTTP and scope["method"] != "OPTIONS":
            await self.check(scope)
        await next_app(scope, receive, send)

    async def check(self, scope: HTTPScope) -> None:
        """Put the caller into the scope. Raises what each step raises."""
        limiter = self._limiter
        try:
            caller = scope["user"] = await authenticate(scope, self.verifier, limiter)
        except Unauthorized as problem:
            self.verdicts[problem.rule] += 1
            if limiter is not None:
                await limiter.refusal(scope)
            raise
        self.verdicts[ACCEPTED] += 1
        if limiter is not None and (counted := limiter.request(scope, caller.id)) is not None:
            await counted
        require_own_path(scope["path_params"].get("user_id"), caller)
        if caller.scopes is not None:
            require_scope(scope, caller.scopes)


async def authenticate(scope: HTTPScope, verifier: TokenVerifier, limiter: RateLimiter | None = None) -> Caller:
    """Return whose token the one header `Authorization: Bearer` carries (RFC 6750); cookies and URLs are never read.

    Raises Unauthorized, TooManyRequests, or a Problem (503) if nobody can tell now.
    """
    sent = [value for name, value in scope["headers"] if name == b"authorization"]
    try:
        token = _token(sent)
        caller = verifier.remembered(token)
        if caller is None:  # which saves a coroutine for most requests
            if limiter is not None:
                limiter.refuse_again(scope)
            caller = await verifier.verify(token)
    except Refused as refusal:
        logger.debug("token refused", reason=refusal.reason, request_id=scope["state"].get("request_id"))
        raise Unauthorized(refusal.rule) from None
    return caller


def require_own_path(user_id: str | None, caller: Caller) -> None:
    """Raise Forbidden unless the user id of a path is the caller's; a path without one is nobody's."""
    if user_id not in (ME, caller.id):
        raise Forbidden


def require_scope(scope: HTTPScope, granted: frozenset[str]) -> None:
    """Raise InsufficientScope unless an OAuth client with these scopes may call the handler with this method."""
    if scope["route_handler"].opt.get("first_party"):
        raise InsufficientScope(None)
    if (wanted := needed(scope["method"])) not in granted:
        raise InsufficientScope(wanted)


def _token(sent: list[bytes]) -> str:
    if len(sent) != 1:
        raise (
            Refused("malformed", "more than one Authorization header was sent")
            if sent
            else Refused("missing", "no token was sent")
        )
    scheme, _, token = sent[0].partition(b" ")
    if scheme.lower() != b"bearer":
        raise Refused("malformed", "the Authorization header has to be `Bearer` and the token")
    return token.lstrip(b" ").decode("latin-1")

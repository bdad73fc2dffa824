"""The rules for claims: whose access token it is, and that it is one, now, for us."""

import re
import time
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct, ValidationError, convert

from app.auth.caller import Caller
from app.auth.refusal import Refused

USER_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
LEEWAY_SECONDS: Final = 10
"""Tolerance for `iat` and `nbf`; `exp` has none."""

FAR_FUTURE: Final = 10**12
"""Seconds since 1970 that no clock shows; also what NaN and infinity are not below."""

DISPLAY_LENGTH: Final = 320
PURPOSES: Final = ("type", "token_use", "purpose", "requestType", "updateTo")
"""Claims that mark a token made for something else."""

IDENTITIES: Final = ("userId", "user_id", "id")
SESSION_CLAIMS: Final = {"session", "user", "updatedAt", "version", "iat", "exp"}


class Policy(Struct, frozen=True):
    """What a family of tokens has to carry. A claim that a token carries must match in any case."""

    issuer: str | None
    audiences: frozenset[str]
    requires_issuer: bool
    requires_audience: bool
    shared: bool
    """Whether the key signs other things, too, so that the claims have to tell what a token is for.

    Better Auth's own keys sign access tokens only, but with whatever columns a project gives its users.
    """


def caller_of(claims: dict[str, Any], policy: Policy) -> Caller:
    """Return whom the claims speak for. Raises Refused."""
    _check_times(claims)
    if policy.shared:
        _check_purpose(claims)
    subject = claims.get("sub")
    if subject is None:
        raise Refused("it has no `sub`: sign the user's id into it; `userId` or `email` are not looked at")
    if not isinstance(subject, str) or not USER_ID.fullmatch(subject):
        raise Refused("its `sub` is not a user id of Better Auth: 1 to 128 letters, digits, - or _")
    _check_issuer(claims, policy)
    _check_audience(claims, policy)
    if not isinstance(claims.get("jti", ""), str):
        raise Refused("its `jti` is not text")
    return Caller(subject, _display(claims.get("email")), _display(claims.get("name")))


def _nested(claims: dict[str, Any], outer: str, inner: str) -> Any:
    value = claims.get(outer)
    return value.get(inner) if isinstance(value, dict) else None


def is_session(claims: dict[str, Any]) -> bool:
    """Whether these are the claims of Better Auth's session cookie cache."""
    return "session" in claims and "user" in claims


def session_caller_of(claims: dict[str, Any]) -> Caller:
    """Return whom a session of Better Auth's cookie cache speaks for. Raises Refused."""
    _check_times(claims)
    session, user = claims["session"], claims["user"]
    if not claims.keys() <= SESSION_CLAIMS or not isinstance(session, dict) or not isinstance(user, dict):
        raise Refused("it is not in the exact shape of a session JWT")
    subject = user.get("id")
    if not isinstance(subject, str) or not USER_ID.fullmatch(subject) or session.get("userId") != subject:
        raise Refused("its session and its user do not name the same user")
    try:
        expires = convert(session.get("expiresAt"), datetime)
    except ValidationError:
        raise Refused("its session has no expiry") from None
    if expires.replace(tzinfo=expires.tzinfo or UTC) <= datetime.now(UTC):
        raise Refused("its session has expired: sign in again")
    return Caller(subject, _display(user.get("email")), _display(user.get("name")))


def _check_times(claims: dict[str, Any]) -> None:
    now = time.time()
    expires = _number(claims, "exp")
    if expires is None:
        raise Refused("it has no `exp`: tokens have to expire")
    if expires <= now:
        raise Refused(f"it expired {now - expires:.0f} seconds ago: fetch a new one")
    for name, what in (("iat", "issued"), ("nbf", "valid only")):
        moment = _number(claims, name)
        if moment is not None and moment > now + LEEWAY_SECONDS:
            raise Refused(
                f"it is {what} {moment - now:.0f} seconds in the future: one of the clocks is off by that much"
            )


def _number(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < FAR_FUTURE:
        raise Refused(f"its `{name}` is not a number of seconds")
    return value


def _check_purpose(claims: dict[str, Any]) -> None:
    if is_session(claims):
        raise Refused("it is a session JWT of the cookie cache: set ACCEPT_SESSION_JWT=true, or fetch /api/auth/token")
    mark = next((name for name in PURPOSES if name in claims), None)
    if mark is not None:
        raise Refused(f"it is marked for another purpose by `{mark}`")
    if "sub" not in claims and "email" in claims:
        raise Refused("it looks like the token of an e-mail link, which is signed with the same secret")
    others = {name: claims.get(name) for name in IDENTITIES} | {
        "user.id": _nested(claims, "user", "id"),
        "session.userId": _nested(claims, "session", "userId"),
    }
    disagreeing = next((name for name, other in others.items() if other not in (None, claims.get("sub"))), None)
    if disagreeing is not None and "sub" in claims:
        raise Refused(f"its `sub` and its `{disagreeing}` name two different users")


def _check_issuer(claims: dict[str, Any], policy: Policy) -> None:
    issuer = claims.get("iss")
    if issuer is None and not policy.requires_issuer:
        return
    if policy.issuer is None:
        raise Refused("it names an issuer, but none is configured: set JWT_ISSUER or BETTER_AUTH_URL")
    if issuer != policy.issuer:
        raise Refused(f"its issuer is {_quoted(issuer)}, but {policy.issuer!r} is expected: set JWT_ISSUER")


def _check_audience(claims: dict[str, Any], policy: Policy) -> None:
    audience = claims.get("aud")
    if audience is None and not policy.requires_audience:
        return
    if not policy.audiences:
        raise Refused("it names an audience, but none is configured: set JWT_AUDIENCE or BETTER_AUTH_URL")
    named = audience if isinstance(audience, list) else [audience]
    if not any(isinstance(name, str) and name in policy.audiences for name in named):
        expected = " or ".join(repr(name) for name in sorted(policy.audiences))
        raise Refused(f"its audience is {_quoted(audience)}, but {expected} is expected: set JWT_AUDIENCE")


def _quoted(value: object) -> str:
    return repr(value)[:100]


def _display(claim: object) -> str | None:
    """Return a claim that is shown to people, if it is text that a database can hold."""
    if not isinstance(claim, str) or len(claim) > DISPLAY_LENGTH or "\x00" in claim:
        return None
    return claim if claim.isascii() or _encodable(claim) else None


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

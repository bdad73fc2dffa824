"""The rules for claims: whose access token it is, and that it is one, now, for us.

PyJWT's own checks do not say the same: their leeway is for `exp`, too, they take "1" and true for seconds, let an empty
`aud` pass, and do not tell which value was expected.
"""

import re
import time
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import ValidationError, convert

from app.auth.caller import Caller, Refused
from app.auth.scopes import granted
from app.settings import Settings

SUBJECT: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
DISPLAYABLE: Final = re.compile(r"[^\0\ud800-\udfff]{0,320}")
"""What PostgreSQL can store as text, in a length that can be shown."""
LEEWAY_SECONDS: Final = 10  # tolerance for `iat` and `nbf`; `exp` has none
FAR_FUTURE: Final = 10**12  # seconds since 1970 that no clock shows; NaN and infinity are not below it either
PURPOSES: Final = ("type", "token_use", "purpose", "requestType", "updateTo")
"""Claims that mark a token made for something else."""
IDENTITIES: Final = ("userId", "user_id", "id", "user.id", "session.userId")  # claims beside `sub` that may name a user
SESSION_CLAIMS: Final = {"session", "user", "updatedAt", "version", "iat", "exp"}


def caller_of(claims: dict[str, Any], settings: Settings, *, signed_with_secret: bool, access_token: bool) -> Caller:
    """Return whom the claims speak for; `access_token` tells whether the header has the type `at+jwt`. Raises Refused.

    The shared secret signs other things, too, so with it the claims have to tell what a token is for. Better Auth's own
    keys sign tokens of the user's app, with whatever columns a project gives its users, and those of OAuth clients.
    """
    _check_times(claims)
    scopes = granted(claims, access_token=access_token)
    if signed_with_secret and settings.accept_session_jwt and {"session", "user"} <= claims.keys():
        return _caller_of_session(claims, scopes)
    if signed_with_secret:
        _check_purpose(claims)
    subject = claims.get("sub")
    if subject is None:
        raise Refused("claims", "it has no `sub`: sign the user's id into it; `userId` and `email` are ignored")
    if not isinstance(subject, str) or not SUBJECT.fullmatch(subject):
        raise Refused("claims", "its `sub` is not a user id of Better Auth: 1 to 128 letters, digits, - or _")
    issuer, audience = claims.get("iss"), claims.get("aud")
    if issuer is not None or settings.jwt_issuer or not signed_with_secret:
        _check_issuer(issuer, settings.issuer, None if scopes is None else settings.oauth_issuer)
    if audience is not None or settings.jwt_audience or not signed_with_secret:
        _check_audience(audience, settings.audiences)
    if not isinstance(claims.get("jti", ""), str):
        raise Refused("claims", "its `jti` is not text")
    return Caller(subject, _display(claims.get("email")), _display(claims.get("name")), scopes, claims["exp"])


def _caller_of_session(claims: dict[str, Any], scopes: frozenset[str] | None) -> Caller:
    session, user = claims["session"], claims["user"]
    if not claims.keys() <= SESSION_CLAIMS or not isinstance(session, dict) or not isinstance(user, dict):
        raise Refused("claims", "it is not in the exact shape of a session JWT")
    subject = user.get("id")
    if not isinstance(subject, str) or not SUBJECT.fullmatch(subject) or session.get("userId") != subject:
        raise Refused("claims", "its session and its user do not name the same user")
    try:
        expires = convert(session.get("expiresAt"), datetime)
    except ValidationError:
        raise Refused("claims", "its session has no expiry") from None
    expires = expires.replace(tzinfo=expires.tzinfo or UTC)
    if expires <= datetime.now(UTC):
        raise Refused("expired", "its session has expired: sign in again")
    until = min(claims["exp"], expires.timestamp())
    return Caller(subject, _display(user.get("email")), _display(user.get("name")), scopes, until)


def _check_times(claims: dict[str, Any]) -> None:
    now = time.time()
    expires = _seconds(claims, "exp")
    if expires is None:
        raise Refused("claims", "it has no `exp`: tokens have to expire")
    if expires <= now:
        raise Refused("expired", f"it expired {now - expires:.0f} seconds ago: fetch a new one")
    for name, what in (("iat", "issued"), ("nbf", "valid only")):
        moment = _seconds(claims, name)
        if moment is not None and moment > now + LEEWAY_SECONDS:
            raise Refused(
                "not_yet_valid",
                f"it is {what} {moment - now:.0f} seconds in the future: one of the clocks is off by that much",
            )


def _seconds(claims: dict[str, Any], name: str) -> float | None:
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < FAR_FUTURE:
        raise Refused("claims", f"its `{name}` is not a number of seconds")
    return value


def _check_purpose(claims: dict[str, Any]) -> None:
    if {"session", "user"} <= claims.keys():
        raise Refused(
            "other_kind",
            "it is a session JWT of the cookie cache: set ACCEPT_SESSION_JWT=true, or fetch /api/auth/token",
        )
    for name in PURPOSES:
        if name in claims:
            raise Refused("other_kind", f"it is marked for another purpose by `{name}`")
    if "sub" not in claims:
        if "email" in claims:
            raise Refused(
                "other_kind", "it looks like the token of an e-mail link, which is signed with the same secret"
            )
        return
    for name in IDENTITIES:
        outer, _, inner = name.partition(".")
        other = claims.get(outer)
        if inner:
            other = other.get(inner) if isinstance(other, dict) else None
        if other not in (None, claims["sub"]):
            raise Refused("claims", f"its `sub` and its `{name}` name two different users")


def _check_issuer(issuer: Any, expected: str | None, of_oauth: str | None) -> None:
    if expected is None:
        raise Refused("issuer", "it names an issuer, but none is configured: set JWT_ISSUER or BETTER_AUTH_URL")
    if issuer is None or issuer not in (expected, of_oauth):
        raise Refused(
            "issuer", f"its issuer is {issuer!r:.100}, but {of_oauth or expected!r} is expected: set JWT_ISSUER"
        )


def _check_audience(audience: Any, accepted: frozenset[str]) -> None:
    if not accepted:
        raise Refused("audience", "it names an audience, but none is configured: set JWT_AUDIENCE or BETTER_AUTH_URL")
    named = audience if isinstance(audience, list) else [audience]
    if not any(isinstance(name, str) and name in accepted for name in named):
        expected = " or ".join(map(repr, sorted(accepted)))
        raise Refused("audience", f"its audience is {audience!r:.100}, but {expected} is expected: set JWT_AUDIENCE")


def _display(claim: object) -> str | None:
    return claim if isinstance(claim, str) and DISPLAYABLE.fullmatch(claim) else None

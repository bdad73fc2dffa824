"""What an OAuth client may do in a user's name (RFC 6749, section 3.3); the user's own app needs no scope.

One mark is enough to make a token an OAuth client's, and nothing but `scope` grants it anything.
"""

from typing import Any, Final

from app.auth.caller import Refused

READ: Final = "tasks:read"
WRITE: Final = "tasks:write"
MARKS: Final = ("azp", "client_id", "scope", "scp", "scopes")
"""Claims of an OAuth client's token; the last two are other servers' names for `scope`."""
OF_ID_TOKENS: Final = ("acr", "auth_time", "at_hash", "c_hash", "s_hash")
"""Claims of ID tokens (OpenID Connect Core, section 2), of which Better Auth's have at least the first two. `nonce` is
not among them: users who sign in with a wallet often have a column of that name."""


def granted(claims: dict[str, Any], *, access_token: bool) -> frozenset[str] | None:
    """Return the scopes of an OAuth client's token, or None for a token of the user's own app. Raises Refused.

    `access_token` tells whether the header has the type of one (RFC 9068); what is null counts as absent, as the
    columns of a user may be.
    """
    if claims.get("cnf") is not None:
        raise Refused("client", "it is bound to a key of its client by `cnf`, and a bearer token cannot prove that key")
    if not access_token:
        _check_kind(claims)
        if all(claims.get(name) is None for name in MARKS):
            return None
    if claims.get("sub") is not None and claims["sub"] in (claims.get("client_id"), claims.get("azp")):
        raise Refused("client", "it speaks for an OAuth client itself, not for a user")
    scope = claims.get("scope")
    return frozenset({READ, WRITE}.intersection(scope.split(" "))) if isinstance(scope, str) else frozenset()


def needed(method: str) -> str:
    """Return the scope that a request with this method needs."""
    return READ if method in ("GET", "HEAD") else WRITE


def _check_kind(claims: dict[str, Any]) -> None:
    for name in OF_ID_TOKENS:
        if claims.get(name) is not None:
            raise Refused(
                "other_kind", f"it is an ID token, which tells a client who signed in, because it has `{name}`"
            )
    if isinstance(claims.get("events"), dict):
        raise Refused("other_kind", "it is a logout token or another security event, because it has `events`")

from math import inf
from typing import Literal

from msgspec import Struct

Rule = Literal[
    "missing",  # no token was sent
    "malformed",  # no JWT, or none that can be read
    "other_kind",  # made for something else
    "algorithm",
    "unknown_key",
    "signature",
    "expired",
    "not_yet_valid",
    "claims",  # one that has to be there, or is not what it has to be
    "issuer",
    "audience",
    "client",  # an OAuth client's, which no user stands behind, or which is bound to a key
    "user",  # deleted or banned
]
"""What a token is refused for, in a word: a closed set, for those who count."""


class Caller(Struct, frozen=True):
    """Whom a verified token speaks for. `email` and `name` are for display only; nothing is decided by them."""

    id: str
    email: str | None = None
    name: str | None = None
    scopes: frozenset[str] | None = None
    """What an OAuth client may do in the user's name; None is the user's own app, which may do everything."""
    expires: float = inf
    """When the token does, in seconds since 1970: what is under way by then has to end."""


class Refused(Exception):  # noqa: N818 - what happens to a token, not a fault
    """A token is not accepted. `reason` tells operators what to do about it; clients never see it."""

    def __init__(self, rule: Rule, reason: str) -> None:
        super().__init__(reason)
        self.rule = rule
        self.reason = reason

from msgspec import Struct


class Caller(Struct, frozen=True):
    """Whom a verified token speaks for. `email` and `name` are for display only; nothing is decided by them."""

    id: str
    email: str | None = None
    name: str | None = None
    scopes: frozenset[str] | None = None
    """What an OAuth client may do in the user's name; None is the user's own app, which may do everything."""


class Refused(Exception):  # noqa: N818 - what happens to a token, not a fault
    """A token is not accepted. `reason` tells operators which rule refused it and what to do; clients never see it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

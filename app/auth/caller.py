from msgspec import Struct


class Caller(Struct, frozen=True):
    """Who a verified token speaks for. `email` and `name` are for display only; nothing is decided by them."""

    id: str
    email: str | None = None
    name: str | None = None

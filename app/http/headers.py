"""Request headers as the server hands them over: lower-case names, bytes, in the order in which they came."""

from typing import Any


def values(scope: Any, name: bytes) -> list[bytes]:
    """Return every value of a header; `name` is in lower case."""
    return [value for key, value in scope["headers"] if key == name]


def first(scope: Any, name: bytes) -> bytes:
    """Return the first value of a header, empty where there is none; `name` is in lower case."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return b""

"""Request headers as the server hands them over: lower-case names, bytes, in the order in which they came.

A revision number is the entity tag of conditional requests (RFC 9110, section 13), so tags are compared as numbers.
"""

import re
from typing import Any, Final

TAG: Final = re.compile(r'(W/)?"([^"]*)"')
REVISION: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
BIGGEST_REVISION: Final = 2**63 - 1


def values(scope: Any, name: bytes) -> list[bytes]:
    """Return every value of a header; `name` is in lower case."""
    return [value for key, value in scope["headers"] if key == name]


def first(scope: Any, name: bytes) -> bytes:
    """Return the first value of a header, empty where there is none; `name` is in lower case."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return b""


def if_match(scope: Any) -> list[int] | None:
    """Return the revisions that a write may start from; None for any. Weak tags never match (section 13.1.1)."""
    sent = values(scope, b"if-match")
    return None if not sent or sent == [b"*"] else _revisions(b",".join(sent), weak=False)


def if_none_match(scope: Any) -> list[int] | None:
    """Return the revisions that the client holds; None for any. Weak tags count (section 13.1.2)."""
    sent = values(scope, b"if-none-match")
    return None if sent == [b"*"] else _revisions(b",".join(sent), weak=True)


def has_weak_tag(scope: Any, revision: int) -> bool:
    """Tell whether the client holds a revision under a weak tag, as answers with a content coding have it."""
    return any(b'W/"%d"' % revision in value for value in values(scope, b"if-none-match"))


def _revisions(header: bytes, *, weak: bool) -> list[int]:
    tags = [tag for mark, tag in TAG.findall(header.decode("latin-1")) if weak or not mark]
    return [int(tag) for tag in tags if REVISION.fullmatch(tag) and int(tag) <= BIGGEST_REVISION]

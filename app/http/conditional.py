"""Conditional requests (RFC 9110, section 13): a revision number is the entity tag, so tags are compared as numbers."""

import re
from typing import Final

from litestar.types import HTTPScope

TAG: Final = re.compile(r'(W/)?"([^"]*)"')
REVISION: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
BIGGEST_REVISION: Final = 2**63 - 1


def etag(revision: int) -> str:
    """Write a revision as a strong entity tag."""
    return f'"{revision}"'


def if_match(scope: HTTPScope) -> list[int] | None:
    """Return the revisions that a write may start from; None for any. Weak tags never match (section 13.1.1)."""
    header = _header(scope, b"if-match")
    if header is None or header.strip() == "*":
        return None
    return _revisions(header, weak=False)


def if_none_match(scope: HTTPScope) -> list[int]:
    """Return the revisions that the client holds; weak tags count (section 13.1.2)."""
    header = _header(scope, b"if-none-match")
    return [] if header is None else _revisions(header, weak=True)


def _header(scope: HTTPScope, wanted: bytes) -> str | None:
    values = [value for name, value in scope["headers"] if name == wanted]
    return b",".join(values).decode("latin-1") if values else None


def _revisions(header: str, *, weak: bool) -> list[int]:
    tags = [tag for mark, tag in TAG.findall(header) if weak or not mark]
    return [int(tag) for tag in tags if REVISION.fullmatch(tag) and int(tag) <= BIGGEST_REVISION]

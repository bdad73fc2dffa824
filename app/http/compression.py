"""Content codings (RFC 9110, section 8.4): zstd where the client takes it, or else gzip, or else none."""

import re
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from zstandard import ZstdCompressor

from app.http.headers import values

SMALLEST: Final = 1024
"""Bytes below which packing saves less than it costs."""

GZIP_LEVEL: Final = 2
"""A list of 50 tasks, 18 kB, becomes 2.1 kB. Level 6 saves another 0.2 kB in three times the time; zstd at its level 1
makes 1.8 kB of it in half of the time."""

LONGEST: Final = 256
"""Bytes of an Accept-Encoding that is looked at; browsers send about 30."""

NAMED: Final = re.compile(rb"(zstd|gzip)\s*(?:;\s*q=([0-9.]+))?", re.IGNORECASE)


class Coding(NamedTuple):
    """A way to pack bodies, by its name in Content-Encoding."""

    name: bytes
    pack: Callable[[bytes], bytes]


ZSTD: Final = Coding(b"zstd", ZstdCompressor(level=1).compress)
GZIP: Final = Coding(b"gzip", lambda body: zlib.compress(body, GZIP_LEVEL, wbits=zlib.MAX_WBITS | 16))


def accepted(scope: Any) -> Coding | None:
    """Return the coding to use for a request, by its Accept-Encoding."""
    header = b",".join(values(scope, b"accept-encoding"))
    return _chosen(header) if 0 < len(header) <= LONGEST else None


@lru_cache(maxsize=64)
def _chosen(header: bytes) -> Coding | None:
    matches = (NAMED.fullmatch(part.strip()) for part in header.split(b","))
    taken = {match[1].lower() for match in matches if match and (match[2] is None or match[2].strip(b"0."))}
    return next((coding for coding in (ZSTD, GZIP) if coding.name in taken), None)

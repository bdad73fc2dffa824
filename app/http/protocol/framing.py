"""A request ends where RFC 9112 says, and where it can be read in two ways it is refused: a proxy in front agrees.

llhttp itself is strict about characters, line ends, lengths, chunks, and Transfer-Encoding beside Content-Length.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import httptools

from app.errors import BadRequest, HeaderFieldsTooLarge, URITooLong
from app.settings import Settings

HOST: Final = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")
ABSOLUTE_FORM: Final = re.compile(rb"https?://[^/?#]+/", re.IGNORECASE)
FRAMING: Final = (b"content-length", b"transfer-encoding")

Fields = Sequence[tuple[bytes, bytes]]


def check(version: str, target: bytes, fields: Fields, settings: Settings) -> None:
    """Check a complete head; names are in lower case. Raises BadRequest, HeaderFieldsTooLarge, URITooLong."""
    if len(target) > settings.max_target_bytes:
        raise URITooLong
    if len(fields) > settings.max_header_fields:
        raise HeaderFieldsTooLarge
    names = [name for name, _ in fields]
    hosts = names.count(b"host")
    if hosts != 1 and (hosts or version == "1.1"):
        raise BadRequest
    if hosts and not _is_host(fields[names.index(b"host")][1]):
        raise BadRequest
    if version != "1.1" and version != "1.0":  # noqa: PLR1714 - half the time
        raise BadRequest
    if target[:1] != b"/" and not ABSOLUTE_FORM.match(target):
        raise BadRequest
    if b"transfer-encoding" in names:
        codings = [value.lower() for name, value in fields if name == b"transfer-encoding"]
        if codings != [b"chunked"] or version == "1.0":  # section 6.1
            raise BadRequest


@lru_cache(maxsize=16)
def _is_host(value: bytes) -> bool:
    return HOST.fullmatch(value) is not None


def check_size(target: bytes, fields: Fields, settings: Settings) -> None:
    """Check the length of a head. Raises HeaderFieldsTooLarge."""
    size = len(target) + sum(len(name) + len(value) + len(b": \r\n") for name, value in fields)
    if size > settings.max_header_bytes:
        raise HeaderFieldsTooLarge


def body_parser(protocol: Any, fields: Fields) -> httptools.HttpRequestParser:
    """Return a parser that has read a head which announces the body that `fields` do, and goes on with that body.

    llhttp takes what follows an `Upgrade` for another protocol. We take part in none, so that the header means nothing
    (RFC 9110, section 7.8), least of all where the next request begins.
    """
    parser = httptools.HttpRequestParser(AfterHead(protocol))
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's, for the end of the connection
    lines = b"".join(b"%s: %s\r\n" % field for field in fields if field[0] in FRAMING)
    parser.feed_data(b"POST / HTTP/1.1\r\n%s\r\n" % lines)
    return parser


class AfterHead:
    """Passes a parser's calls on to a protocol, but for those about the first head, which the protocol knows."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._first = True
        self.on_body = protocol.on_body
        self.on_message_complete = protocol.on_message_complete

    def on_message_begin(self) -> None:
        if not self._first:
            self._protocol.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self._first:
            self._protocol.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._first:
            self._protocol.on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self._first:
            self._protocol.on_headers_complete()
        self._first = False

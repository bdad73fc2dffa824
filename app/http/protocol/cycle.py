"""uvicorn's request cycle, writing an ordinary answer's head without looking at headers again that it has sent before.

uvicorn searches each name and value for what must not be in one: about 1 µs a header, and ten of them a request.
"""

from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HEADER_RE, HEADER_VALUE_RE, STATUS_LINE, RequestResponseCycle

Header = tuple[bytes, bytes]

CONTENT_LENGTH: Final = b"content-length"
VARYING: Final = {CONTENT_LENGTH, b"etag", b"link", b"location", b"ratelimit", b"x-request-id"}
"""Headers whose lines are not remembered: hardly two answers share one."""

UNUSUAL: Final = {b"connection", b"transfer-encoding"}
"""Headers that say how the answer is sent, and leave it to uvicorn."""

ANY_LENGTH: Final = 2**64
LONGEST_LENGTH: Final = 2**63
"""Counts down from the one; with less than the other left, the length was a real one."""

WITHOUT_BODY: Final = (204, 304)  # have no length either
REMEMBERED: Final = 256
LONGEST_REMEMBERED: Final = 256


class Lines:
    """The lines of headers; `defaults` are uvicorn's own, a new list every second."""

    def __init__(self) -> None:
        self._known: dict[Header, bytes] = {}
        self._defaults: list[Header] = []
        self._default_lines = b""

    def of(self, header: Header) -> bytes:
        """Return the line of a header. Raises RuntimeError for one that would end too early."""
        line = self._known.get(header)
        if line is None:
            name, value = header
            if HEADER_VALUE_RE.search(value) or (name not in VARYING and HEADER_RE.search(name)):
                raise RuntimeError("Invalid HTTP header.")
            line = b"%s: %s\r\n" % header
            if name not in VARYING and len(line) <= LONGEST_REMEMBERED:
                if len(self._known) >= REMEMBERED:
                    self._known.clear()
                self._known[header] = line
        return line

    def of_defaults(self, headers: list[Header]) -> bytes:
        """Return the lines of uvicorn's own headers."""
        if headers is not self._defaults:
            self._default_lines = b"".join(map(self.of, headers))
            self._defaults = headers
        return self._default_lines


LINES: Final = Lines()


class Cycle(RequestResponseCycle):
    """Sends what is ordinary by itself: a head with its length, and then the whole body at once."""

    async def send(self, message: Any) -> None:
        """Send a message of ASGI."""
        if self.disconnected or self.flow.write_paused:
            await self._send(message)
        elif not self.response_started and message["type"] == "http.response.start":
            lines = self._head(message["status"], message["headers"])
            if lines is None:
                await self._send(message)
                return
            self.response_started = True
            self.waiting_for_100_continue = False
            self.transport.write(b"".join(lines))
        elif self._is_whole(message):
            self.transport.write(message["body"])
            self.expected_content_length = 0
            self.response_complete = True
            self.message_event.set()
            self.on_response()
        else:
            await self._send(message)

    async def _send(self, message: Any) -> None:
        """Leave a message to uvicorn, but for a body of unknown length that HTTP/1.0 lets end with the connection.

        It knows no chunks (RFC 9112, section 6.1); uvicorn sends them all the same.
        """
        if self.scope.get("http_version") == "1.0":
            if not self.response_started:
                has_length = any(name == CONTENT_LENGTH for name, _ in message.get("headers", ()))
                if not has_length and message["status"] not in WITHOUT_BODY and self.scope["method"] != "HEAD":
                    self.chunked_encoding = False
                    self.expected_content_length = ANY_LENGTH
            elif self.expected_content_length > LONGEST_LENGTH and not message.get("more_body", False):
                self.expected_content_length = len(message.get("body", b""))
        await super().send(message)

    def _head(self, status: int, headers: list[Header]) -> list[bytes] | None:
        """Return the lines of a head, or None where there is more to it; note the length of the body."""
        if not self.keep_alive or self.access_log:
            return None
        length: bytes | None = None
        lines = [STATUS_LINE[status], LINES.of_defaults(self.default_headers)]
        for header in headers:
            name = header[0]
            if name == CONTENT_LENGTH:
                length = header[1]
            elif name in UNUSUAL:
                return None
            lines.append(LINES.of(header))
        if length is not None:
            self.expected_content_length = int(length)
            self.chunked_encoding = False
        elif status not in WITHOUT_BODY:
            return None
        lines.append(b"\r\n")
        return lines

    def _is_whole(self, message: Any) -> bool:
        """Tell whether a message is the whole body of a head that was sent with its length, and the last one."""
        return (
            not self.chunked_encoding
            and self.response_started
            and self.keep_alive
            and not self.response_complete
            and message["type"] == "http.response.body"
            and not message.get("more_body", False)
            and len(message["body"]) == self.expected_content_length
            and self.scope["method"] != "HEAD"
        )

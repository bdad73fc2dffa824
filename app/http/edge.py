"""The outermost layer: what every answer has, from whichever layer it comes, and one log line for each."""

import os
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import structlog
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from app import errors

REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")
API: Final = "/api/"

SECURITY: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
NO_CONTENT_POLICY: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
DATA: Final = [(b"cache-control", b"private, no-cache"), (b"vary", b"Authorization, Origin")]
NO_STORE: Final = [(b"cache-control", b"no-store"), (b"vary", b"Authorization, Origin")]

logger = structlog.get_logger("app.access")


class Edge:
    """Wraps the whole application: request id, HEAD, security headers, problem bodies and the access log."""

    def __init__(self, app: ASGIApp, methods: Mapping[str, Iterable[str]]) -> None:
        """Wrap `app`, whose route templates answer these `methods`."""
        self._app = app
        self._allow = {
            route: ", ".join(sorted({*allowed, "HEAD"} if "GET" in allowed else allowed)).encode()
            for route, allowed in methods.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope, send, self._allow)
        try:
            await self._app(scope, receive, exchange.send)
        except Exception:
            if exchange.started:
                raise
            logger.exception("unhandled exception", request_id=scope["state"]["request_id"])
            await exchange.send({"type": "http.response.start", "status": 500, "headers": []})
        finally:
            exchange.log()


class Exchange:
    """One request and its answer, on the way out."""

    def __init__(self, scope: Any, send: Send, allow: Mapping[str, bytes]) -> None:
        self._started = time.perf_counter()
        self._scope = scope
        self._send = send
        self._allow = allow
        self._method: str = scope["method"]
        self._status = 0
        self._bytes = 0
        self._replaced = False
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        self._id = given if REQUEST_ID.fullmatch(given) else os.urandom(8).hex().encode()
        scope["state"]["request_id"] = self._id.decode()
        if self._method == "HEAD":
            scope["method"] = "GET"  # whatever GET answers, without the body

    @property
    def started(self) -> bool:
        """Whether the client has seen a part of the answer."""
        return self._status > 0

    async def send(self, message: Message) -> None:
        """Complete the start of an answer, and drop the bodies that have to be dropped."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            await self._start(message)
        elif message["type"] == "http.response.body" and not self._replaced:
            body = b"" if self._method == "HEAD" else message["body"]
            self._bytes += len(body)
            await self._send({"type": "http.response.body", "body": body, "more_body": message.get("more_body", False)})

    async def _start(self, message: Any) -> None:
        headers: list[tuple[bytes, bytes]] = list(message["headers"])
        headers += [(b"x-request-id", self._id), *SECURITY]
        names = {name for name, _ in headers}
        if b"content-security-policy" not in names:
            headers.append(NO_CONTENT_POLICY)
        if b"cache-control" not in names:
            headers += NO_STORE if self._status >= 400 else DATA if self._scope["path"].startswith(API) else []  # noqa: PLR2004
        if b"allow" in names:
            route = self._scope.get("path_template")
            headers = [
                (name, self._allow.get(route, _with_head(value)) if name == b"allow" else value)
                for name, value in headers
            ]
        problem = b"" if self._status < 400 else self._problem_instead(headers)  # noqa: PLR2004 - where errors start
        if not problem:
            await self._send({"type": "http.response.start", "status": self._status, "headers": headers})
            return
        self._replaced = True
        self._bytes = len(problem)
        kept = [(name, value) for name, value in headers if name not in {b"content-type", b"content-length"}]
        kept += [(b"content-type", errors.MEDIA_TYPE.encode()), (b"content-length", str(len(problem)).encode())]
        await self._send({"type": "http.response.start", "status": self._status, "headers": kept})
        await self._send({"type": "http.response.body", "body": b"" if self._method == "HEAD" else problem})

    def _problem_instead(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        """Return the problem body for an error that some layer answered in a form of its own."""
        if (b"content-type", errors.MEDIA_TYPE.encode()) in headers:
            return b""
        return errors.of_status(self._status).body(self._id.decode())

    def log(self) -> None:
        """Write the one line of this request: no query string, no header, no body."""
        user = self._scope.get("user")
        logger.info(
            "request",
            method=self._method,
            route=self._scope.get("path_template"),
            status=self._status,
            duration_ms=round((time.perf_counter() - self._started) * 1000, 2),
            bytes=self._bytes,
            user_id=user and user.id,
            request_id=self._id.decode(),
        )


def _with_head(allow: bytes) -> bytes:
    """Add HEAD, which this layer answers, to what the router allows where no route matched the method."""
    methods = {method.strip() for method in allow.split(b",")}
    return b", ".join(sorted(methods | ({b"HEAD"} if b"GET" in methods else set())))

"""The outermost layer: what every answer has, from whichever layer it comes, and one log line for each."""

import asyncio
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from app import errors
from app.lifecycle import PROCESS
from app.logs import AccessLine

Headers = list[tuple[bytes, bytes]]

REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")
API: Final = "/api/"
PROBLEM: Final = (b"content-type", errors.MEDIA_TYPE.encode())

EVERYWHERE: Final = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
NO_PAGE: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
VARY: Final = (b"vary", b"Authorization, Origin")  # `me` is another user's with another token
DATA: Final = [(b"cache-control", b"private, no-cache"), VARY]
CLOSE: Final = (b"connection", b"close")
ERROR: Final = [(b"cache-control", b"no-store"), VARY]

logger = structlog.get_logger("app.edge")


class Edge:
    """Wraps the whole application; `methods` are those that each route template answers, `log` writes access lines."""

    def __init__(self, app: ASGIApp, methods: Mapping[str, Iterable[str]], log: Callable[[AccessLine], None]) -> None:
        self._app = app
        self._allow = {route: _with_head(allowed) for route, allowed in methods.items()}
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope, send, self._allow)
        try:
            await self._app(scope, receive, exchange.send)
        except Exception:
            if exchange.status:
                raise
            logger.exception("unhandled exception", request_id=scope["state"]["request_id"])
            await exchange.send({"type": "http.response.start", "status": 500, "headers": []})
        except asyncio.CancelledError:  # the server does that at the end of SHUTDOWN_TIMEOUT, and ends then
            if not exchange.status:
                await exchange.refuse(errors.ShuttingDown())
        finally:
            self._log(exchange.line())


class Exchange:
    """One request and its answer, on the way out; `status` is 0 until the answer starts."""

    def __init__(self, scope: Any, send: Send, allow: Mapping[str, bytes]) -> None:
        self.status = 0
        self._started = time.perf_counter()
        self._scope = scope
        self._send: Any = send
        self._allow = allow
        self._bytes = 0
        self._ended = False
        self._id = _given_id(scope["headers"]) or os.urandom(8).hex()
        scope["state"]["request_id"] = self._id
        self._method: str = scope["method"]
        if self._method == "HEAD":
            scope["method"] = "GET"  # whatever GET answers, without the body

    async def send(self, message: Message) -> None:
        """Pass a message on: complete its headers, or drop a body that must not be sent."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            await self._start(self._completed(list(message["headers"])))
        elif message["type"] == "http.response.body" and not self._ended:
            await self._body(message["body"], more=message.get("more_body", False))

    async def _start(self, headers: Headers) -> None:
        if self.status < HTTPStatus.BAD_REQUEST or PROBLEM in headers:
            await self._send({"type": "http.response.start", "status": self.status, "headers": headers})
            return
        kept = [(name, value) for name, value in headers if name not in {b"content-type", b"content-length"}]
        await self._problem(errors.problem_of_status(self.status), kept)  # some layer has a form of its own
        self._ended = True

    async def refuse(self, problem: errors.Problem) -> None:
        """Answer in the place of an application that will not."""
        self.status = problem.status
        headers = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
        await self._problem(problem, self._completed(headers))

    async def _problem(self, problem: errors.Problem, headers: Headers) -> None:
        body = problem.body(self._id)
        headers += [PROBLEM, (b"content-length", str(len(body)).encode())]
        await self._send({"type": "http.response.start", "status": self.status, "headers": headers})
        await self._body(body, more=False)

    async def _body(self, body: bytes, *, more: bool) -> None:
        body = b"" if self._method == "HEAD" else body
        self._bytes += len(body)
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    def _completed(self, headers: Headers) -> Headers:
        names = {name for name, _ in headers}
        headers += [(b"x-request-id", self._id.encode()), *EVERYWHERE]
        if b"content-security-policy" not in names:
            headers.append(NO_PAGE)
        if b"cache-control" not in names:
            if self.status >= HTTPStatus.BAD_REQUEST:
                headers += ERROR
            elif self._scope["path"].startswith(API):
                headers += DATA
        if PROCESS.draining:
            headers.append(CLOSE)
        if b"allow" in names:
            headers = [(name, self._allowed(value) if name == b"allow" else value) for name, value in headers]
        return headers

    def _allowed(self, value: bytes) -> bytes:
        """Correct Litestar's list: it forgets methods on OPTIONS, and knows nothing of HEAD."""
        return self._allow.get(self._scope.get("path_template")) or _with_head(value.decode().split(", "))

    def line(self) -> AccessLine:
        """Describe the exchange for the log, at its end."""
        user = self._scope.get("user")
        return AccessLine(
            method=self._method,
            route=self._scope.get("path_template"),
            status=self.status,
            duration_ms=round((time.perf_counter() - self._started) * 1000, 2),
            bytes=self._bytes,
            user_id=user.id if user else None,
            request_id=self._id,
        )


def _given_id(headers: Headers) -> str | None:
    for name, value in headers:
        if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
            return value.decode()
    return None


def _with_head(methods: Iterable[str]) -> bytes:
    return ", ".join(sorted({*methods} | ({"HEAD"} if "GET" in methods else set()))).encode()

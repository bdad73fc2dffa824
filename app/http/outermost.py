"""The outermost layer: what every answer has, from whichever layer it comes, and one log line for each."""

import asyncio
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog
from litestar import Litestar
from litestar.enums import ScopeType
from litestar.routes import HTTPRoute
from msgspec import UNSET

from app import errors
from app.http.answers import Answer, Headers
from app.http.cross_origin import CrossOrigin
from app.http.dispatch import Check, Table
from app.http.headers import first
from app.logs import AccessLine, Level

REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")
API: Final = "/api/"
PROBLEM: Final = (b"content-type", errors.MEDIA_TYPE.encode())

EVERYWHERE: Final = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
NO_PAGE: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
VARY: Final = (b"vary", b"Authorization, Origin")  # `me` is another user's with another token
DATA: Final = [(b"cache-control", b"private, no-cache"), VARY]
CLOSE: Final = (b"connection", b"close")
ERROR: Final = [(b"cache-control", b"no-store"), VARY]

logger = structlog.get_logger("app.http")


class Application(Litestar):
    """Litestar within the outermost layer, through which every request and every answer passes.

    With `direct` its routes are called directly where that is the same; `check` is then asked for those with a token.
    """

    def __init__(
        self,
        *,
        direct: bool,
        check: Check,
        draining: Callable[[], bool],
        log: Callable[[AccessLine], None],
        **options: Any,
    ) -> None:
        super().__init__(**options)
        methods = {
            route.path_format: route.route_handler_map.keys() for route in self.routes if isinstance(route, HTTPRoute)
        }
        self._outermost = Outermost(
            super().__call__,
            methods=methods,
            draining=draining,
            log=log,
            table=Table(self, check) if direct else None,
            cross_origin=CrossOrigin(self.cors_config) if self.cors_config else None,
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request, or run the lifespan."""
        await self._outermost(scope, receive, send)


class Outermost:
    """Wraps a whole application; `methods` are those that each route template answers, `log` writes access lines."""

    def __init__(
        self,
        app: Callable[[Any, Any, Any], Awaitable[None]],
        *,
        methods: Mapping[str, Iterable[str]],
        draining: Callable[[], bool],
        log: Callable[[AccessLine], None],
        table: Table | None = None,
        cross_origin: CrossOrigin | None = None,
    ) -> None:
        self._app = app
        self._table = table
        self._log = log
        self.allow = {route: _with_head(allowed) for route, allowed in methods.items()}
        self.draining = draining
        self.cross_origin = cross_origin

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})
        inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope  # the server needs its own as it is
        exchange = Exchange(self, inner, send, scope["method"])
        try:
            call = self._table.find(inner) if self._table else None
            if call is not None:
                await exchange.answer(await call(inner, receive, send))
            else:
                await self._app(inner, receive, exchange.send)
        except Exception:
            if exchange.status:
                raise
            logger.exception("unhandled exception", request_id=exchange.request_id)
            await exchange.refuse(errors.InternalError())
        except asyncio.CancelledError:  # the server does that at the end of SHUTDOWN_TIMEOUT, and ends then
            if not exchange.status:
                await exchange.refuse(errors.ShuttingDown())
        finally:
            self._log(exchange.line())


def _new_ids() -> Iterator[str]:
    """Yield ids for requests that bring none: unlike all others of the process, and most likely of any other."""
    while True:
        prefix = os.urandom(5).hex()
        for number in range(2**24):
            yield f"{prefix}{number:06x}"


REQUEST_IDS: Final = _new_ids()


class Exchange:
    """One request and its answer, on the way out; `status` is 0 until the answer starts."""

    def __init__(self, layer: Outermost, scope: Any, send: Any, method: str) -> None:
        self.status = 0
        self._started = time.perf_counter()
        self._scope = scope
        self._send = send
        self._method = method
        self._layer = layer
        self._bytes = 0
        self._ended = False
        sent = first(scope, b"x-request-id")
        self.request_id = sent.decode() if sent and REQUEST_ID.fullmatch(sent) else next(REQUEST_IDS)
        scope["state"]["request_id"] = self.request_id

    async def answer(self, answer: Answer) -> None:
        """Send an answer that was not made by Litestar."""
        self.status, headers, body = answer
        if self._layer.cross_origin:
            headers += self._layer.cross_origin.headers(self._scope)
        headers.append((b"x-request-id", self.request_id.encode()))
        headers += EVERYWHERE
        headers.append(NO_PAGE)
        if self.status >= HTTPStatus.BAD_REQUEST:
            headers += ERROR
        elif self._scope["path"].startswith(API):
            headers += DATA
        if self._layer.draining():
            headers.append(CLOSE)
        await self._send({"type": "http.response.start", "status": self.status, "headers": headers})
        await self._body(body, more=False)

    async def send(self, message: Any) -> None:
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
        body = problem.body(self.request_id)
        self._scope["state"]["problem"] = problem.code
        headers += [PROBLEM, (b"content-length", str(len(body)).encode())]
        await self._send({"type": "http.response.start", "status": self.status, "headers": headers})
        await self._body(body, more=False)

    async def _body(self, body: bytes, *, more: bool) -> None:
        body = b"" if self._method == "HEAD" else body
        self._bytes += len(body)
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    def _completed(self, headers: Headers) -> Headers:
        names = {name for name, _ in headers}
        headers += [(b"x-request-id", self.request_id.encode()), *EVERYWHERE]
        if b"content-security-policy" not in names:
            headers.append(NO_PAGE)
        if b"cache-control" not in names:
            if self.status >= HTTPStatus.BAD_REQUEST:
                headers += ERROR
            elif self._scope["path"].startswith(API):
                headers += DATA
        if self._layer.draining():
            headers.append(CLOSE)
        if b"allow" in names:
            headers = [(name, self._allowed(value) if name == b"allow" else value) for name, value in headers]
        return headers

    def _allowed(self, value: bytes) -> bytes:
        """Correct Litestar's list: it forgets methods on OPTIONS, and knows nothing of HEAD."""
        return self._layer.allow.get(self._scope.get("path_template")) or _with_head(value.decode().split(", "))

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
            request_id=self.request_id,
            code=self._scope["state"].get("problem", UNSET),
            level=_level(self.status),
        )


def _level(status: int) -> Level:
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return "info"
    return "warning" if status == HTTPStatus.SERVICE_UNAVAILABLE else "error"


def _with_head(methods: Iterable[str]) -> bytes:
    return ", ".join(sorted({*methods} | ({"HEAD"} if "GET" in methods else set()))).encode()

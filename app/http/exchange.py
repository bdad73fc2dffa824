"""One request and its answer on their way through the outermost layer: id, headers that every answer has, log line."""

import os
import re
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import Any, Final

from msgspec import UNSET, Struct

from app import errors
from app.db.observation import REQUEST_ID as REQUEST_ID_OF_TASK
from app.http.answers import Answer, Headers
from app.http.cross_origin import CrossOrigin
from app.http.headers import first
from app.logs import AccessLine, Level

REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")
FIRST_ERROR, FIRST_FAILURE, UNAVAILABLE = 400, 500, 503  # looked up in HTTPStatus they take Python 3.11 a call each
API: Final = "/api/"
PROBLEM: Final = (b"content-type", errors.MEDIA_TYPE.encode())

EVERYWHERE: Final = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
NO_PAGE: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
VARY: Final = (b"vary", b"Authorization, Origin")  # `me` is another user's with another token
DATA: Final = [(b"cache-control", b"private, no-cache"), (b"vary", b"Accept-Encoding, Authorization, Origin")]
CLOSE: Final = (b"connection", b"close")
ERROR: Final = [(b"cache-control", b"no-store"), VARY]


class Layer(Struct, frozen=True):
    """What all exchanges of an application share: the methods of each route, and whether the process is draining.

    With `told_apart` whatever a request asks of the database can be told from others by the request's id.
    """

    allow: Mapping[str, bytes]
    draining: Callable[[], bool]
    cross_origin: CrossOrigin
    told_apart: bool


def _new_ids() -> Iterator[str]:
    """Yield ids for requests that bring none: unlike all others of the process, and most likely of any other."""
    while True:
        prefix = os.urandom(5).hex()
        for number in range(2**24):
            yield f"{prefix}{number:06x}"


REQUEST_IDS: Final = _new_ids()


class Exchange:
    """One request and its answer, on the way out; `status` is 0 until the answer starts."""

    def __init__(self, layer: Layer, scope: Any, send: Any, method: str) -> None:
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
        if layer.told_apart:
            REQUEST_ID_OF_TASK.set(self.request_id)

    async def answer(self, answer: Answer) -> None:
        """Send an answer that was not made by Litestar."""
        self.status, headers, body = answer
        headers = self._completed(headers)
        await self._send({"type": "http.response.start", "status": self.status, "headers": headers})
        if self._method == "HEAD":
            body = b""
        self._bytes = len(body)
        await self._send({"type": "http.response.body", "body": body})

    async def answer_preflight(self) -> None:
        """Answer a preflight, which asks about the application and nothing of it."""
        answer = self._layer.cross_origin.preflight(self._scope)
        await (self.refuse(answer) if isinstance(answer, errors.Problem) else self.answer(answer))

    async def send(self, message: Any) -> None:
        """Pass a message on: complete its headers, or drop a body that must not be sent."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message["headers"])
            await self._start(self._completed(headers, {name for name, _ in headers}))
        elif message["type"] == "http.response.body" and not self._ended:
            await self._body(message["body"], more=message.get("more_body", False))

    async def _start(self, headers: Headers) -> None:
        if self.status < FIRST_ERROR or PROBLEM in headers:
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

    def _completed(self, headers: Headers, names: Container[bytes] = ()) -> Headers:
        """Add what every answer has, but for what is among `names` already."""
        cross_origin = self._layer.cross_origin
        headers += [(b"x-request-id", self.request_id.encode()), *EVERYWHERE, *cross_origin.headers(self._scope)]
        if b"content-security-policy" not in names:
            headers.append(NO_PAGE)
        headers += self._scope["state"].get("rate_limit", ())
        if b"cache-control" in names:
            headers += cross_origin.vary
        elif self.status >= FIRST_ERROR:
            headers += ERROR
        else:
            headers += DATA if self._scope["path"].startswith(API) else cross_origin.vary
        if self._layer.draining():
            headers.append(CLOSE)
        if b"allow" in names:
            headers = [(name, self._allowed(value) if name == b"allow" else value) for name, value in headers]
        return headers

    def _allowed(self, value: bytes) -> bytes:
        """Correct Litestar's list: it forgets methods on OPTIONS, and knows nothing of HEAD."""
        return self._layer.allow.get(self._scope.get("path_template")) or with_head(value.decode().split(", "))

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
    if status < FIRST_FAILURE:
        return "info"
    return "warning" if status == UNAVAILABLE else "error"


def with_head(methods: Iterable[str]) -> bytes:
    """Write a list of methods for `Allow`, with HEAD beside GET."""
    return ", ".join(sorted({*methods} | ({"HEAD"} if "GET" in methods else set()))).encode()

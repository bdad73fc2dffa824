"""The outermost layer, through which every request and every answer passes, whoever answers."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

import structlog
from litestar import Litestar
from litestar.openapi.spec import OpenAPI
from litestar.routes import HTTPRoute

from app import errors
from app.http.answers import ASKED_PATH, HEAD_ONLY, Answer
from app.http.cross_origin import CrossOrigin, is_preflight
from app.http.dispatch import Check, Table
from app.http.exchange import Exchange, Layer, with_head
from app.logs import AccessLine

Log = Callable[[AccessLine], None]
Trace = Callable[[Any, Log], Log]
"""Begins the trace of a scope, if it is sampled; what it returns ends the trace and writes the line as the log does."""

OwnAddress = Callable[[str, str], tuple[str, str] | None]
"""Returns the method and the path of ours that a request means, None where it has them already."""

logger = structlog.get_logger("app.http")


class Application(Litestar):
    """Litestar within the outermost layer, through which every request and every answer passes.

    With `direct` its routes are called directly where that is the same; `check` is then asked for those with a token.
    With `told_apart`, observers of the database learn the ids of requests.
    Methods and paths that `own_address` knows as other names are served, described and logged as ours.
    `describe` finishes the OpenAPI document, in place.
    """

    def __init__(
        self,
        *,
        direct: bool,
        check: Check,
        own_address: OwnAddress,
        draining: Callable[[], bool],
        log: Log,
        trace: Trace | None,
        cross_origin: CrossOrigin,
        told_apart: bool,
        describe: Callable[[OpenAPI, Litestar], None],
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._describe = describe
        self.log = log
        """Writes access lines, those of requests among them that never come here."""

        methods = {
            route.path_format: route.route_handler_map.keys() for route in self.routes if isinstance(route, HTTPRoute)
        }
        self._outermost = Outermost(
            super().__call__,
            methods=methods,
            own_address=own_address,
            draining=draining,
            log=log,
            trace=trace,
            table=Table(self, check) if direct else None,
            cross_origin=cross_origin,
            told_apart=told_apart,
        )

    @cached_property
    def openapi_schema(self) -> OpenAPI:
        """The OpenAPI document, made when it is first asked for: that takes as long as the rest of the application."""
        document = super().openapi_schema
        self._describe(document, self)
        return document

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
        log: Log,
        own_address: OwnAddress = lambda _method, _path: None,
        trace: Trace | None = None,
        table: Table | None = None,
        cross_origin: CrossOrigin | None = None,
        told_apart: bool = False,
    ) -> None:
        self._app = app
        self._own_address = own_address
        self._table = table
        self._log = log
        self._trace = trace
        allow = {route: with_head(allowed) for route, allowed in methods.items()}
        self._layer = Layer(allow, draining, cross_origin or CrossOrigin(), told_apart)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})
        log = self._log if self._trace is None else self._trace(scope, self._log)
        inner = scope
        if own := self._own_address(scope["method"], scope["path"]):
            inner = {**scope, "method": own[0], "path": own[1]}  # a copy: the server needs its own as it is
            inner["state"][ASKED_PATH] = scope["path"]
        if scope["method"] == "HEAD":
            inner = {**inner, "method": "GET"}
            scope["state"][HEAD_ONLY] = True
        exchange = Exchange(self._layer, inner, send, scope["method"])
        try:
            call = self._table.find(inner) if self._table else None
            if call is not None:
                await exchange.answer(await call(inner, receive, send))
            else:
                await self._answer(exchange, inner, receive, send)
        except Exception:
            if exchange.status:
                raise
            logger.exception("unhandled exception", request_id=exchange.request_id)
            await exchange.refuse(errors.InternalError())
        except asyncio.CancelledError:  # the server does that at the end of SHUTDOWN_TIMEOUT, and ends then
            if not exchange.status:
                await exchange.refuse(errors.ShuttingDown())
        finally:
            log(exchange.line())

    async def _answer(self, exchange: Exchange, scope: Any, receive: Any, send: Any) -> None:
        """Answer what no ready answer is made for."""
        if is_preflight(scope):
            await exchange.answer_preflight()
        elif self._table and (call := self._table.find(scope, endless=True)):
            answer: Any = await call(scope, receive, send)
            if isinstance(answer, Answer):
                await exchange.answer(answer)
            else:
                await answer(scope, receive, exchange.send)
        else:
            await self._app(scope, receive, exchange.send)

"""Direct dispatch: the application's routes, compiled at the start into a table of direct calls.

Litestar describes the routes and stays the reference: whatever the table cannot serve exactly as Litestar would, from
OPTIONS and odd paths to pages and streams, it leaves to Litestar.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from inspect import signature
from typing import Any, Final, NamedTuple

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from msgspec import convert

from app.errors import MEDIA_TYPE, MalformedJSON, report
from app.http.answers import Answer, EndlessResponse, JSONResponse
from app.http.body import StrictRequest
from app.http.headers import first

ORDINARY_PATH: Final = re.compile(r"(?:/[A-Za-z0-9_-]+)*/?", re.ASCII)
ORDINARY_HOST: Final = re.compile(rb"[A-Za-z0-9.:-]*")
REMEMBERED: Final = 4096
"""Paths whose place in the table is kept; all are forgotten when there are more."""

LONGEST_REMEMBERED: Final = 256
"""Characters of such a path: anybody can send any path, and longer ones are looked for each time."""

PROBLEM: Final = (b"content-type", MEDIA_TYPE.encode())

Check = Callable[[Any], Awaitable[None]]
"""Authenticates a scope with its path parameters, and raises a Problem for whom it refuses."""


class Call:
    """One handler behind its guards, with everything that can be known before a request comes.

    What answers without an end is called like the others, and returns what sends it in the place of a whole answer.
    """

    def __init__(self, handler: HTTPRouteHandler, template: str, names: list[str], check: Check | None) -> None:
        self.template = template
        self.names = names
        self.handler = handler
        self._check = check
        self._function: Callable[..., Awaitable[JSONResponse[Any]]] = handler.fn
        self._guards = handler.resolve_guards()
        self._request_class = handler.resolve_request_class()
        parameters = handler.parsed_fn_signature.parameters
        self._fixed = {name: value for name, value in _fixed(handler).items() if name in parameters}
        self._in_path = {name: parameters[name].annotation for name in names if name in parameters}
        self._takes_request = "request" in parameters
        self._takes_body = "data" in parameters
        self._needs_body = self._takes_body and not parameters["data"].has_default

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Answer:
        """Answer a request whose scope has the path parameters."""
        try:
            if self._check is not None:
                await self._check(scope)
            request = self._request_class(scope, receive, send)
            for guard in self._guards:
                await guard(request, self.handler)  # type: ignore[misc]  # Litestar has made it async
            arguments = self._fixed.copy()
            if self._takes_request:
                arguments["request"] = request
            for name, type_ in self._in_path.items():
                arguments[name] = convert(scope["path_params"][name], type_, strict=False)
            if self._takes_body:
                if await request.body():
                    arguments["data"] = await request.json()
                elif self._needs_body:
                    raise MalformedJSON
            return (await self._function(**arguments)).answer
        except Exception as error:  # noqa: BLE001 - each becomes the answer that it would be with Litestar
            problem = report(error, scope["state"])
            body = problem.body(scope["state"]["request_id"])
            headers = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
            return Answer(problem.status, [*headers, PROBLEM, (b"content-length", b"%d" % len(body))], body)


class Found(NamedTuple):
    """A place in the table: the path without a slash at its end, its parameters, and the calls by method.

    Those in `endless` answer with what sends itself.
    """

    path: str
    values: list[str]
    calls: dict[str, Call]
    endless: dict[str, Call]


NOTHING: Final = Found("", [], {}, {})
ENDLESS: Final = "//"
"""Key of the calls whose answers have no end, beside `/` of the others; no segment of a path is called so."""


class Table:
    """The calls by path and method. `check` is asked for every route that is not public."""

    def __init__(self, app: Litestar, check: Check) -> None:
        self._app = app
        self._root: dict[str, Any] = {}
        self._found: dict[str, Found] = {}
        for route in app.routes:
            if isinstance(route, HTTPRoute):
                self._add(route, check)

    def find(self, scope: Any, *, endless: bool = False) -> Call | None:
        """Return the call for a request and complete its scope, or None where Litestar has to answer."""
        found = self._found.get(scope["path"]) or self._match(scope["path"])
        call = (found.endless if endless else found.calls).get(scope["method"])
        if call is None or scope.get("root_path") or not ORDINARY_HOST.fullmatch(first(scope, b"host")):
            return None
        scope["path"] = found.path
        scope["path_params"] = dict(zip(call.names, found.values, strict=True))
        scope["path_template"] = call.template
        scope["route_handler"] = call.handler
        scope["app"] = scope["litestar_app"] = self._app
        return call

    def _match(self, path: str) -> Found:
        """Find the place of a path, and remember it if there are calls."""
        if not ORDINARY_PATH.fullmatch(path):
            return NOTHING
        node, values = self._root, []
        for segment in filter(None, path.split("/")):
            if segment not in node and "{}" in node:
                values.append(segment)
                segment = "{}"  # noqa: PLW2901 - what stands for it
            node = node.get(segment, {})
        found = Found(path.rstrip("/") or "/", values, node.get("/", {}), node.get(ENDLESS, {}))
        if (found.calls or found.endless) and len(path) <= LONGEST_REMEMBERED:
            if len(self._found) >= REMEMBERED:
                self._found.clear()
            self._found[path] = found
        return found

    def routes(self) -> Iterator[tuple[str, str]]:
        """Yield the method and the path template of everything that is called directly."""
        nodes = [self._root]
        for node in nodes:
            for calls in (node.get("/", {}), node.get(ENDLESS, {})):
                yield from ((method, call.template) for method, call in calls.items())
            nodes += [below for segment, below in node.items() if segment not in {"/", ENDLESS}]

    def _add(self, route: HTTPRoute, check: Check) -> None:
        """Add any route, so that a segment means here what it means to Litestar; with calls where they are possible."""
        node = self._root
        for component in route.path_components:
            node = node.setdefault(component if isinstance(component, str) else "{}", {})
        for method, (handler, _) in route.route_handler_map.items():
            if _can_call(handler, route, len(self._app.middleware)):
                public = handler.opt.get("public", False)
                ends = handler.parsed_fn_signature.return_type.is_subclass_of(JSONResponse)
                calls = node.setdefault("/" if ends else ENDLESS, {})
                calls[method] = Call(handler, route.path_format, [*route.path_parameters], None if public else check)


def _can_call(handler: HTTPRouteHandler, route: HTTPRoute, middleware: int) -> bool:
    """Tell whether a handler's answer is ready, or sends itself, asks for nothing unknown here, and adds no layer."""
    described = handler.parsed_fn_signature
    known = {"request", "data", *route.path_parameters, *_fixed(handler)}
    own = (
        handler.resolve_before_request(),
        handler.resolve_after_response(),
        handler.after_request,
        handler.cache,
        handler.exception_handlers,
    )
    return (
        described.return_type.is_subclass_of((JSONResponse, EndlessResponse))
        and issubclass(handler.resolve_request_class(), StrictRequest)
        and described.parameters.keys() <= known
        and not handler.has_sync_callable
        and not any(own)
        and len(handler.resolve_middleware()) == middleware
    )


def _fixed(handler: HTTPRouteHandler) -> Mapping[str, Any]:
    """Return the dependencies that are made once for all requests."""
    return {
        name: provider.dependency()
        for name, provider in handler.resolve_dependencies().items()
        if provider.use_cache and provider.has_sync_callable and not signature(provider.dependency).parameters
    }

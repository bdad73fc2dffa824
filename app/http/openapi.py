"""What handlers say about themselves beyond their types, and how it gets into the finished OpenAPI document."""

from collections.abc import Mapping, Sequence
from copy import copy, deepcopy
from http import HTTPStatus
from typing import Any, Final

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    OpenAPI,
    OpenAPIHeader,
    OpenAPIResponse,
    Operation,
    Parameter,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIType
from litestar.routes import HTTPRoute
from msgspec import json

from app.errors import MEDIA_TYPE, RETRY_SOON, Problem
from app.http.openapi_schemas import simplify


def header(description: str, example: str, *, pattern: str | None = None, required: bool = True) -> OpenAPIHeader:
    """Describe a header of an answer."""
    schema = Schema(type=OpenAPIType.STRING, pattern=pattern)
    return OpenAPIHeader(description=description, schema=schema, required=required, example=example)


def parameter(name: str, place: str, description: str, schema: Schema, example: Any = None) -> Parameter:
    """Describe a parameter; those in the path are required, and arrays are repeated."""
    return Parameter(
        name=name,
        param_in=place,
        description=description,
        schema=schema,
        example=example,
        required=place == "path",
        explode=True if schema.items else None,
    )


TAG: Final = r'"[!#-~]*"'
"""An entity tag (RFC 9110, section 8.8.3), of the characters that headers can carry safely."""

REQUEST_ID: Final = header(
    "Id of this request in the server's log: the one that the client sent, or a new one.", "0f5a3c9be17d2846"
)
ETAG: Final = header(
    "The revision, quoted; for If-None-Match and If-Match.", '"1795336200123456"', pattern='^"[0-9]+"$'
)
QUOTAS: Final = {
    "RateLimit": header(
        "By limit, how many more requests are served (`r`) within so many seconds (`t`); at 0, when the next one is.",
        '"user";r=599;t=60',
        required=False,
    ),
    "RateLimit-Policy": header(
        "By limit, how many requests are served (`q`) in so many seconds (`w`).", '"user";q=600;w=60', required=False
    ),
}
OF_PROBLEMS: Final = {
    "WWW-Authenticate": header("The scheme to authenticate with, and what is wrong with the token.", "Bearer"),
    "Retry-After": header("Seconds to wait.", RETRY_SOON["Retry-After"], pattern="^[0-9]+$"),
}
IF_MATCH: Final = parameter(
    "If-Match",
    "header",
    "Write only if the task's ETag is still one of these, or with `*` whatever it is; otherwise 412.",
    Schema(type=OpenAPIType.STRING, pattern=rf"^(\*|{TAG}(, *{TAG})*)$"),
)
IF_NONE_MATCH: Final = parameter(
    "If-None-Match",
    "header",
    "ETags that the client holds, or `*` for any; 304 without a body if the current one is among them. "
    "Anything else is ignored.",
    Schema(type=OpenAPIType.STRING, pattern=rf"^(\*|(W/)?{TAG}(, *(W/)?{TAG})*)$"),
)


def operation(
    name: str,
    summary: str,
    *,
    success: str,
    example: Any = None,
    body: Any = None,
    headers: Mapping[str, OpenAPIHeader] | None = None,
    parameters: Sequence[Parameter] = (),
    problems: Sequence[type[Problem] | Problem] = (),
    deprecated: bool = False,
) -> dict[str, Any]:
    """Return a route handler's options: `body` is an example of the request's, `example` of the answer's.

    `problems` are those that the handler can end in, with an instance where its example should say more; among those of
    one status the first is the example. A route that takes If-None-Match answers 304, too.
    """
    by_status: dict[int, list[Problem]] = {}
    for problem in problems:
        raised = problem() if isinstance(problem, type) else problem
        by_status.setdefault(raised.status, []).append(raised)
    responses = {
        status: ResponseSpec(
            group[0].details,
            generate_examples=False,
            description=". Or: ".join(type(raised).detail for raised in group),
            media_type=MEDIA_TYPE,
        )
        for status, group in by_status.items()
    }
    if IF_NONE_MATCH in parameters:
        responses[304] = ResponseSpec(None, description="The client holds this revision")
    return {
        "operation_id": name,
        "summary": summary,
        "deprecated": deprecated,
        "response_description": success,
        "responses": responses,
        "opt": {
            "body": body,
            "example": example,
            "headers": headers or {},
            "parameters": [*parameters],
            "problems": by_status,
        },
    }


def finish(document: OpenAPI, app: Litestar) -> None:
    """Complete and simplify the application's document, in place."""
    document.paths = dict(sorted((document.paths or {}).items(), key=lambda item: (item[0][:5] != "/api/", item[0])))
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            item = document.paths.get(route.path_format)
            for method, (handler, _) in route.route_handler_map.items():
                if (found := getattr(item, method.lower(), None)) is not None:
                    _complete(found, handler)
    schemas: Any = document.components.schemas if document.components else {}
    for schema in schemas.values():
        if schema.properties and {"type", "request_id"} <= schema.properties.keys():
            schema.required.append("type")  # of a problem: it has a default, and is always there
    simplify(document)


def _complete(operation: Operation, handler: HTTPRouteHandler) -> None:
    """Add what the handler says in its options, and drop what Litestar says of its own errors."""
    said = handler.opt
    operation.parameters = deepcopy(said["parameters"]) or None  # two applications of a process may differ
    operation.security = [] if said.get("public") else None
    if isinstance(operation.request_body, RequestBody) and handler.parsed_data_field:
        [content] = operation.request_body.content.values()
        content.example = said["body"]
        if handler.parsed_data_field.is_optional:  # the body may be absent, but is never null
            operation.request_body.required = False
            content.schema = content.schema.one_of[0]  # type: ignore[union-attr, index]
    responses: Any = operation.responses
    operation.responses = {
        status: _completed(response, int(status), said)
        for status, response in sorted(responses.items())
        if int(status) < HTTPStatus.BAD_REQUEST or MEDIA_TYPE in response.content
    }


def _completed(response: OpenAPIResponse, status: int, said: Mapping[str, Any]) -> OpenAPIResponse:
    headers, example = said["headers"], said["example"]
    if status >= HTTPStatus.BAD_REQUEST:
        problems = said["problems"][status]
        headers = {
            name: _of_problems(name, value, problems) for each in problems for name, value in each.headers.items()
        }
        example = json.decode(problems[0].body(str(REQUEST_ID.example)))
    elif status == HTTPStatus.NOT_MODIFIED:
        headers = {"ETag": headers["ETag"]}
    elif status == HTTPStatus.NO_CONTENT:
        response.content = None
    response.headers = {"X-Request-Id": REQUEST_ID, **headers, **({} if said.get("public") else QUOTAS)}
    for content in (response.content or {}).values():
        content.example = example
    return response


def _of_problems(name: str, example: str, problems: Sequence[Problem]) -> OpenAPIHeader:
    """Describe a header that some, or all, of the problems of one status have."""
    described = copy(OF_PROBLEMS[name])
    described.example, described.required = example, all(name in problem.headers for problem in problems)
    return described

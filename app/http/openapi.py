"""What OpenAPI has to say beyond the handlers' types: every error with its body, every header, every list parameter."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example, OpenAPIHeader, OpenAPIResponse, Operation, Parameter, Schema
from litestar.openapi.spec.enums import OpenAPIType

from app.errors import MEDIA_TYPE, ProblemDetails

STRING: Final = Schema(type=OpenAPIType.STRING)
REQUEST_ID: Final = OpenAPIHeader(description="Id of this request in the server's log.", schema=STRING)
ETAG: Final = OpenAPIHeader(
    description="The revision, quoted; for If-None-Match and If-Match.",
    schema=Schema(type=OpenAPIType.STRING, pattern='^"[0-9]+"$'),
)
LOCATION: Final = OpenAPIHeader(description="Path of the new task.", schema=STRING)
LINK: Final = OpenAPIHeader(description='The next page, as `<path>; rel="next"` (RFC 8288).', schema=STRING)
CHALLENGE: Final = OpenAPIHeader(description="The scheme to authenticate with.", schema=STRING)
RETRY_AFTER: Final = OpenAPIHeader(
    description="Seconds to wait.", schema=Schema(type=OpenAPIType.STRING, pattern="^[0-9]+$")
)

PATH: Final = {
    "user_id": Parameter(
        name="user_id",
        param_in="path",
        required=True,
        description="The token's `sub`, or `me` for the same.",
        schema=Schema(type=OpenAPIType.STRING, pattern="^[A-Za-z0-9_-]{1,128}$", examples=["me"]),
    ),
    "task_id": Parameter(
        name="task_id",
        param_in="path",
        required=True,
        description="Id of the task.",
        schema=Schema(type=OpenAPIType.INTEGER, minimum=1, maximum=2**63 - 1),
    ),
}
IF_MATCH: Final = Parameter(
    name="If-Match",
    param_in="header",
    description="Write only if the task's ETag is still one of these; otherwise 412.",
    schema=STRING,
)
IF_NONE_MATCH: Final = Parameter(
    name="If-None-Match",
    param_in="header",
    description="ETags that the client holds; 304 without a body if the current one is among them.",
    schema=STRING,
)

ERRORS: Final = {
    400: ("malformed_json", "The body is not valid JSON"),
    401: ("unauthorized", "Invalid or missing token"),
    403: ("forbidden", "Not authorized to access this task"),
    404: ("task_not_found", "Task not found"),
    412: ("stale_revision", "The task has changed since the revision given in If-Match"),
    413: ("payload_too_large", "The body is too large"),
    415: ("unsupported_media_type", "Send the body as application/json in UTF-8"),
    422: ("validation_failed", "title: Must not be blank"),
    503: ("database_unavailable", "The database is not available right now; try again"),
}
ERROR_HEADERS: Final = {401: {"WWW-Authenticate": CHALLENGE}, 503: {"Retry-After": RETRY_AFTER}}

OF_EVERY_ROUTE: Final = (401, 403, 503)
OF_A_BODY: Final = (400, 413, 415, 422)


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """Describe the error answers of a data route: those of every one, and `statuses`."""
    return {
        status: ResponseSpec(
            ProblemDetails,
            generate_examples=False,
            description=HTTPStatus(status).phrase,
            media_type=MEDIA_TYPE,
            examples=[Example(summary=ERRORS[status][0], value=_example(status))],
        )
        for status in sorted({*OF_EVERY_ROUTE, *statuses})
    }


def _example(status: int) -> dict[str, Any]:
    code, detail = ERRORS[status]
    field, _, message = detail.partition(": ")
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "message": detail,
        "code": code,
        "errors": [{"field": field, "message": message}] if status == HTTPStatus.UNPROCESSABLE_ENTITY else [],
        "request_id": "0f5a3c9be17d2846",
    }


def operation(
    *,
    example: Any = None,
    headers: dict[str, OpenAPIHeader] | None = None,
    parameters: Sequence[Parameter] = (),
    not_modified: bool = False,
) -> type[Operation]:
    """Make the operation class of a handler: adds an example and headers to its success, and parameters."""

    @dataclass
    class Documented(Operation):
        def __post_init__(self) -> None:
            own: Any = self.parameters or []
            self.parameters = [*(PATH.get(parameter.name, parameter) for parameter in own), *parameters] or None
            responses: Any = self.responses
            if MEDIA_TYPE not in (responses.get("400", OpenAPIResponse("")).content or {MEDIA_TYPE: None}):
                del responses["400"]  # Litestar's own idea of a validation error
            if not_modified:
                responses["304"] = OpenAPIResponse(description="The client holds this revision", headers={"ETag": ETAG})
            for status, response in responses.items():
                response.headers = {"X-Request-Id": REQUEST_ID, **ERROR_HEADERS.get(int(status), {})}
                if status.startswith("2"):
                    response.headers |= headers or {}
                    response.content = None if status == "204" else response.content
                    for content in (response.content or {}).values():
                        content.example = example

    return Documented

"""What OpenAPI has to say beyond the handlers' types: every error with its body, every header, every example."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIHeader, OpenAPIResponse, Operation, Parameter, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from msgspec import json

from app.errors import MEDIA_TYPE, RETRY_SOON, FieldError, Problem, ProblemDetails

STRING: Final = Schema(type=OpenAPIType.STRING)
REQUEST_ID: Final = OpenAPIHeader(
    description="Id of this request in the server's log: the one that the client sent, or a new one.",
    schema=STRING,
    required=True,
    example="0f5a3c9be17d2846",
)
ETAG: Final = OpenAPIHeader(
    description="The revision, quoted; for If-None-Match and If-Match.",
    schema=Schema(type=OpenAPIType.STRING, pattern='^"[0-9]+"$'),
    required=True,
    example='"1795336200123456"',
)
LOCATION: Final = OpenAPIHeader(
    description="Path of the new task.", schema=STRING, required=True, example="/api/me/tasks/1"
)
LINK: Final = OpenAPIHeader(
    description='The next page, as `<path>; rel="next"` (RFC 8288); absent on the last one.',
    schema=STRING,
    example='</api/me/tasks?limit=50&cursor=WyJjcmVhdGVkIiwiZGVzYyJd>; rel="next"',
)
CHALLENGE: Final = OpenAPIHeader(
    description="The scheme to authenticate with.", schema=STRING, required=True, example="Bearer"
)
RETRY_AFTER: Final = OpenAPIHeader(
    description="Seconds to wait.",
    schema=Schema(type=OpenAPIType.STRING, pattern="^[0-9]+$"),
    required=True,
    example=RETRY_SOON["Retry-After"],
)

PATH: Final = {
    "user_id": Parameter(
        name="user_id",
        param_in="path",
        required=True,
        description="The token's `sub`, or `me` for the same.",
        schema=Schema(type=OpenAPIType.STRING, pattern="^[A-Za-z0-9_-]{1,128}$"),
        example="me",
    ),
    "task_id": Parameter(
        name="task_id",
        param_in="path",
        required=True,
        description="Id of the task.",
        schema=Schema(type=OpenAPIType.INTEGER, minimum=1, maximum=2**63 - 1),
        example=1,
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
    422: ("validation_failed", "A value breaks a rule; `errors` names each"),
    503: ("database_unavailable", "The database is not available right now; try again"),
}
ERROR_HEADERS: Final = {401: {"WWW-Authenticate": CHALLENGE}, 503: {"Retry-After": RETRY_AFTER}}

OF_EVERY_ROUTE: Final = (401, 403, 503)
OF_A_BODY: Final = (400, 413, 415, 422)


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """Describe the error answers of a data route: those of every one, and `statuses`."""
    return {
        status: ResponseSpec(
            ProblemDetails, generate_examples=False, description=ERRORS[status][1], media_type=MEDIA_TYPE
        )
        for status in sorted({*OF_EVERY_ROUTE, *statuses})
    }


def _problem(status: int, invalid: FieldError) -> dict[str, Any]:
    code, detail = ERRORS[status]
    broken = [invalid] if status == HTTPStatus.UNPROCESSABLE_ENTITY else []
    body = Problem()
    body.status, body.code, body.errors = status, code, broken
    body.detail = f"{invalid.field}: {invalid.message}" if broken else detail
    example: dict[str, Any] = json.decode(body.body(str(REQUEST_ID.example)))
    return example


def operation(
    *,
    success: str,
    example: Any = None,
    headers: dict[str, OpenAPIHeader] | None = None,
    parameters: Sequence[Parameter] = (),
    body: Any = None,
    body_required: bool = True,
    invalid: tuple[str, str] = ("title", "Must not be blank"),
    not_modified: bool = False,
    public: bool = False,
) -> type[Operation]:
    """Make the operation class of a handler: what it says beyond what Litestar reads off the signature."""

    @dataclass
    class Documented(Operation):
        def __post_init__(self) -> None:
            in_path = {getattr(parameter, "name", None) for parameter in self.parameters or ()}
            self.parameters = [*(PATH[name] for name in PATH if name in in_path), *parameters] or None
            self.security = [] if public else self.security
            if isinstance(self.request_body, RequestBody):
                self.request_body.required = body_required
                for media_type in self.request_body.content.values():
                    media_type.example = body
                    if not body_required and isinstance(media_type.schema, Schema):
                        media_type.schema = next(iter(media_type.schema.one_of or ()))  # absent, but never null
            responses: Any = self.responses
            if MEDIA_TYPE not in (responses.get("400", OpenAPIResponse("")).content or {MEDIA_TYPE: None}):
                del responses["400"]  # Litestar's own idea of a validation error
            if not_modified:
                responses["304"] = OpenAPIResponse(description="The client holds this revision")
            self.responses = {status: self._response(int(status), responses[status]) for status in sorted(responses)}

        def _response(self, status: int, response: OpenAPIResponse) -> OpenAPIResponse:
            own = ERROR_HEADERS.get(status, {})
            if status < HTTPStatus.BAD_REQUEST:
                own = {"ETag": ETAG} if status == HTTPStatus.NOT_MODIFIED else headers or {}
                response.description = response.description if status == HTTPStatus.NOT_MODIFIED else success
                response.content = None if status == HTTPStatus.NO_CONTENT else response.content
            response.headers = {"X-Request-Id": REQUEST_ID, **own}
            for media_type in (response.content or {}).values():
                media_type.example = (
                    example if status < HTTPStatus.BAD_REQUEST else _problem(status, FieldError(*invalid))
                )
            return response

    return Documented

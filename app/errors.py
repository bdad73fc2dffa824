"""Every answer other than success: one class a problem, one body for all (RFC 9457), one table from exception to it."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from msgspec import Struct, json

from app.db import failures

MEDIA_TYPE: Final = "application/problem+json"
RETRY_SOON: Final[Mapping[str, str]] = MappingProxyType({"Retry-After": "1"})
"""For what may be over in a second."""

logger = structlog.get_logger("app.errors")


class FieldError(Struct, frozen=True):
    """One field of the request and what is wrong with it."""

    field: str
    message: str


class ProblemDetails(Struct, kw_only=True):
    """Body of every answer from 400 up, as application/problem+json (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    message: str
    code: str
    errors: list[FieldError]
    request_id: str


class Problem(Exception):  # noqa: N818 - RFC 9457's own word
    """An answer from 400 up: its status, a `code` for programs and `detail`, one sentence for people."""

    status: int = HTTPStatus.INTERNAL_SERVER_ERROR
    code: str = "internal_error"
    detail: str = "Something went wrong on our side"
    headers: Mapping[str, str] = MappingProxyType({})
    errors: Sequence[FieldError] = ()
    details: type[ProblemDetails] = ProblemDetails
    """What the body is made of; a subclass of problems with more to say has one of its own."""

    def body(self, request_id: str) -> bytes:
        """Encode as problem+json."""
        return json.encode(
            self.details(
                title=HTTPStatus(self.status).phrase,
                status=self.status,
                detail=self.detail,
                message=self.detail,
                code=self.code,
                errors=list(self.errors),
                request_id=request_id,
                **self.more(),
            )
        )

    def more(self) -> Mapping[str, Any]:
        """Return the members that `details` has beyond those of every problem."""
        return {}


class InternalError(Problem):
    """A bug of ours."""


class BadRequest(Problem):
    """The request breaks off, or is not HTTP as the server understands it."""

    status, code, detail = 400, "bad_request", "The request cannot be understood"


class MalformedJSON(Problem):
    """The body is missing, or is not JSON in UTF-8."""

    status, code, detail = 400, "malformed_json", "The body is not valid JSON"


class NotFound(Problem):
    """No route has this path."""

    status, code, detail = 404, "not_found", "There is nothing at this address"


class MethodNotAllowed(Problem):
    """The path exists, the method does not."""

    status, code, detail = 405, "method_not_allowed", "This address does not support the method"


class RequestTimeout(Problem):
    """The head took longer than HEADER_TIMEOUT, or the body longer than BODY_TIMEOUT."""

    status, code, detail = 408, "request_timeout", "The request took too long to arrive"


class Conflict(Problem):
    """The database refused a second row with the same key."""

    status, code, detail = 409, "conflict", "It exists already"


class PayloadTooLarge(Problem):
    """The body is longer than MAX_BODY_BYTES."""

    status, code, detail = 413, "payload_too_large", "The body is too large"


class URITooLong(Problem):
    """The address is longer than MAX_TARGET_BYTES."""

    status, code, detail = 414, "uri_too_long", "The address is too long"


class UnsupportedMediaType(Problem):
    """The body is something else than JSON."""

    status, code, detail = 415, "unsupported_media_type", "Send the body as application/json in UTF-8"


class ValidationFailed(Problem):
    """Well-formed, but the named fields break a rule."""

    status, code, detail = 422, "validation_failed", "A value breaks a rule; `errors` names each"

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__(errors)
        self.errors = errors
        self.detail = "; ".join(f"{error.field}: {error.message}" for error in errors)


class UnstorableValue(Problem):
    """PostgreSQL refused a value that our own rules let through."""

    status, code, detail = 422, "unstorable_value", "The database cannot store a value of the request"


class TooManyRequests(Problem):
    """A rate limit is reached, or as many requests of this user wait as may; this one was not looked at."""

    status, code, headers = 429, "too_many_requests", RETRY_SOON
    detail = "Too many requests; send fewer at once, and wait before the next one"

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__()
        self.retry_after = retry_after
        self.headers = {"Retry-After": str(retry_after)}


class HeaderFieldsTooLarge(Problem):
    """The head is longer than MAX_HEADER_BYTES, or has more fields than MAX_HEADER_FIELDS."""

    status, code, detail = 431, "request_header_fields_too_large", "The request has too many or too long headers"


class DatabaseUnavailable(Problem):
    """The database cannot answer now; the same request may succeed a moment later."""

    status, code, headers = 503, "database_unavailable", RETRY_SOON
    detail = "The database is not available right now; try again"


class Overloaded(Problem):
    """More requests wait for the database than can be served in time; this one was not looked at."""

    status, code, headers = 503, "overloaded", RETRY_SOON
    detail = "Too many requests wait for the database; try again in a moment"


class OutcomeUnknown(Problem):
    """A change was sent to the database, and the answer never came."""

    status, code, headers = 503, "outcome_unknown", RETRY_SOON
    detail = "The change may or may not have been saved; look before you repeat it"


class ShuttingDown(Problem):
    """The process is about to end; another one will answer."""

    status, code, headers = 503, "shutting_down", RETRY_SOON
    detail = "This process is shutting down"


def codes() -> set[str]:
    """Return every code that the classes of problems have, with those of the features that are imported."""
    kinds: list[type[Problem]] = [Problem]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return {kind.code for kind in kinds}


OF_FRAMEWORK: Final = {
    problem.status: problem
    for problem in (BadRequest, NotFound, MethodNotAllowed, PayloadTooLarge, UnsupportedMediaType, InternalError)
}


def problem_of_status(status: int, headers: Mapping[str, str] | None = None) -> Problem:
    """Return the problem for a status that no code of ours chose: the framework's, or a layer's around it."""
    problem = OF_FRAMEWORK.get(status, Problem)()
    if problem.status != status:
        phrase = HTTPStatus(status).phrase
        problem.status, problem.code, problem.detail = status, phrase.lower().replace(" ", "_"), phrase
    problem.headers = headers or problem.headers
    return problem


def problem_of(exc: BaseException) -> Problem:  # noqa: PLR0911 - a table, one row a return
    """Return the problem that any exception amounts to; what is not in the table is a bug of ours, 500."""
    match exc:
        case Problem():
            return exc
        case ValidationException():
            return MalformedJSON()  # every other value is checked by our own code: this is a missing body
        case HTTPException():
            return problem_of_status(exc.status_code, exc.headers)
        case failures.QueueFull():
            return Overloaded()
        case failures.UserQueueFull():
            return TooManyRequests()
        case failures.AnswerLost():
            return OutcomeUnknown()
    state = failures.sqlstate(exc)
    if state.startswith("22"):  # data exception
        return UnstorableValue()
    if state == "23505":  # unique violation
        return Conflict()
    return DatabaseUnavailable() if failures.outlook(exc).unavailable else InternalError()


def report(exc: Exception, state: dict[str, Any]) -> Problem:
    """Return the problem that an exception amounts to, and note it for the request's line in the log.

    What is not the client's doing gets a line of its own.
    """
    problem = problem_of(exc)
    state["problem"] = problem.code
    request_id = state.get("request_id", "")
    if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("unhandled exception", request_id=request_id, exc_info=exc)
    elif problem.status > HTTPStatus.INTERNAL_SERVER_ERROR and exc is not problem:
        logger.warning("database unavailable", request_id=request_id, code=problem.code, **failures.description(exc))
    return problem


def respond(request: Request[Any, Any, Any], exc: Exception) -> Response[bytes]:
    """Answer for an exception, in Litestar's form of an exception handler."""
    state = request.scope["state"]
    problem = report(exc, state)
    body = problem.body(state.get("request_id", ""))
    return Response(body, status_code=problem.status, media_type=MEDIA_TYPE, headers=dict(problem.headers))

"""One body for every error (RFC 9457), and the one table from what went wrong to its status."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

import asyncpg
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from msgspec import Struct, json
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.db.failures import OutcomeUnknown, Overloaded

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = "1"

HTTP_PROBLEMS: Final = {
    400: ("bad_request", "The request cannot be understood"),
    404: ("not_found", "There is nothing at this address"),
    405: ("method_not_allowed", "This address does not support the method"),
    413: ("payload_too_large", "The body is too large"),
    500: ("internal_error", "Something went wrong on our side"),
}
UNAVAILABLE_SQLSTATES: Final = (
    "08",  # connection exception
    "0A000",  # a prepared statement outlived the schema it was planned for
    "25006",  # read-only after a failover
    "26000",  # the prepared statement is gone from the server
    "28",  # the credentials are refused
    "3D000",  # the database does not exist
    "40",  # serialization failure, deadlock
    "42501",  # a privilege is missing
    "42703",  # migrations have not run
    "42P01",  # the same
    "42P05",  # the prepared statement belongs to another client of the pooler
    "53",  # insufficient resources
    "55P03",  # lock timeout
    "57",  # operator intervention, shutdown, statement timeout
    "58",  # system error
    "XX",  # internal error
)
"""Prefixes of SQLSTATEs (PostgreSQL documentation, appendix A) that are the database's trouble, not the client's."""

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
    """An answer other than success: status, a stable `code` for programs, and `detail`, one sentence for people."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        errors: list[FieldError] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        self.errors = errors or []

    def body(self, request_id: str) -> bytes:
        """Encode as problem+json."""
        return json.encode(
            ProblemDetails(
                title=HTTPStatus(self.status).phrase,
                status=self.status,
                detail=self.detail,
                message=self.detail,
                code=self.code,
                errors=self.errors,
                request_id=request_id,
            )
        )


def invalid(errors: list[FieldError]) -> Problem:
    """422: well-formed, but the named fields break a rule."""
    detail = "; ".join(f"{error.field}: {error.message}" for error in errors)
    return Problem(422, "validation_failed", detail, errors=errors)


def malformed_json() -> Problem:
    """400: the body is not JSON."""
    return Problem(400, "malformed_json", "The body is not valid JSON")


def unavailable() -> Problem:
    """503: the database cannot answer now; the same request may succeed a moment later."""
    return Problem(
        503,
        "database_unavailable",
        "The database is not available right now; try again",
        headers={"Retry-After": RETRY_AFTER_SECONDS},
    )


def overloaded() -> Problem:
    """503: more requests wait for the database than can be served in time; this one was not looked at."""
    return Problem(
        503,
        "overloaded",
        "Too many requests wait for the database; try again in a moment",
        headers={"Retry-After": RETRY_AFTER_SECONDS},
    )


def outcome_unknown() -> Problem:
    """503: a change was sent to the database, and the answer never came."""
    return Problem(
        503,
        "outcome_unknown",
        "The change may or may not have been saved; look before you repeat it",
        headers={"Retry-After": RETRY_AFTER_SECONDS},
    )


def shutting_down() -> Problem:
    """503: this process is about to end; another one will answer."""
    return Problem(503, "shutting_down", "This process is shutting down", headers={"Retry-After": RETRY_AFTER_SECONDS})


def of_status(status: int, headers: dict[str, str] | None = None) -> Problem:
    """Describe a status that no code of ours raised: the framework's, or a layer's around it."""
    phrase = HTTPStatus(status).phrase
    code, detail = HTTP_PROBLEMS.get(status, (phrase.lower().replace(" ", "_"), phrase))
    return Problem(status, code, detail, headers=headers)


def of_exception(exc: BaseException) -> Problem:  # noqa: C901, PLR0911 - a table, one row a return
    """Map any exception to the answer it deserves; what is not in the table is a bug of ours, 500."""
    match exc:
        case Problem():
            return exc
        case ValidationException():
            return malformed_json()  # every other value is checked by our own code: this is a missing body
        case HTTPException():
            return of_status(exc.status_code, exc.headers)
        case Overloaded():
            return overloaded()
        case OutcomeUnknown():
            return outcome_unknown()
        case asyncpg.DataError() | asyncpg.exceptions.DataError():
            return Problem(422, "unstorable_value", "The database cannot store a value of the request")
        case OSError() | TimeoutError() | PoolTimeoutError() | asyncpg.InterfaceError():
            return unavailable()
    for state in _sqlstates(exc):
        if state.startswith("22"):
            return Problem(422, "unstorable_value", "The database cannot store a value of the request")
        if state == asyncpg.UniqueViolationError.sqlstate:
            return Problem(409, "conflict", "It exists already")
        if state.startswith(UNAVAILABLE_SQLSTATES):
            return unavailable()
    return of_status(500)


def respond(request: Request[Any, Any, Any], exc: Exception) -> Response[bytes]:
    """Answer for an exception, in Litestar's form of an exception handler; logs what is not the client's doing."""
    problem = of_exception(exc)
    request_id = str(request.scope["state"].get("request_id", ""))
    if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("unhandled exception", request_id=request_id, exc_info=exc)
    elif problem.status > HTTPStatus.INTERNAL_SERVER_ERROR and exc is not problem:
        errors = [type(error).__name__ for error in _causes(exc)]
        states = list(_sqlstates(exc))
        logger.warning(
            "database unavailable", request_id=request_id, code=problem.code, errors=errors, sqlstates=states
        )
    return Response(
        problem.body(request_id), status_code=problem.status, media_type=MEDIA_TYPE, headers=problem.headers
    )


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    """Yield the exception and what it was raised from, outermost first."""
    while exc is not None:
        yield exc
        exc = exc.__cause__


def _sqlstates(exc: BaseException) -> Iterator[str]:
    """Yield every SQLSTATE along the chain of causes: SQLAlchemy and Advanced Alchemy wrap the driver's exception."""
    for cause in _causes(exc):
        state = getattr(getattr(cause, "orig", cause), "sqlstate", None)
        if isinstance(state, str):
            yield state

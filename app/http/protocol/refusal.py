"""Answers of the server itself to what never became a request: they look like all others, and the connection ends."""

from http import HTTPStatus

from app.errors import Problem
from app.http.answers import Headers
from app.http.exchange import CLOSE, ERROR, EVERYWHERE, NO_PAGE, PROBLEM
from app.logs import AccessLine


def encode(problem: Problem, request_id: str, default_headers: Headers) -> bytes:
    """Return the whole answer; `default_headers` are those that uvicorn adds to every answer."""
    body = problem.body(request_id)
    headers = [
        *default_headers,
        (b"x-request-id", request_id.encode()),
        *EVERYWHERE,
        NO_PAGE,
        *ERROR,
        PROBLEM,
        (b"content-length", b"%d" % len(body)),
        CLOSE,
    ]
    status = HTTPStatus(problem.status)
    fields = b"".join(b"%s: %s\r\n" % header for header in headers)
    return b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (status, status.phrase.encode(), fields, body)


def line(problem: Problem, request_id: str, size: int) -> AccessLine:
    """Describe a refusal for the log; what the request was is not known."""
    return AccessLine(
        method="-",
        route=None,
        status=problem.status,
        code=problem.code,
        duration_ms=0.0,
        bytes=size,
        user_id=None,
        request_id=request_id,
    )

"""Answers whose JSON is ready: they go out as they are, past Litestar's serialization."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeVar

from litestar import Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from app.http.headers import has_weak_tag

T = TypeVar("T")
Headers = list[tuple[bytes, bytes]]

JSON: Final = (b"content-type", b"application/json")
ASKED_PATH: Final = "asked_path"
"""Where the state of a request has the path that the client wrote, if it is another name for ours."""

HEAD_ONLY: Final = "head_only"
"""Stands in the state of a request that wants no body, because its method is HEAD; handlers only ever see GET."""

STREAM: Final = "stream"
"""Where the state of a request has what an answer without an end is made of: something with a method `end`."""

ENDING: Final = "ending"
"""Stands in the state of a request that is under way while the server ends; a stream that is there already was told."""


class Answer(NamedTuple):
    """Status, headers and body in the form that the server takes."""

    status: int
    headers: Headers
    body: bytes


class ReadyResponse(ASGIResponse):
    """Sends an answer as it is."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send."""
        status, headers, body = self._answer
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


class JSONResponse(Response[T]):
    """JSON text of type `T` made by the database; `T` is what OpenAPI says and a contract test checks."""

    def __init__(self, body: str | bytes | None, *, status: int = 200, headers: Headers | None = None) -> None:
        fields = headers or []
        data = body.encode() if isinstance(body, str) else body or b""
        if body is not None:
            fields += JSON, (b"content-length", b"%d" % len(data))
        self.answer = Answer(status, fields, data)

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIResponse:
        """Return what was made in the constructor; nothing on any layer adds to it."""
        return ReadyResponse(self.answer)


class EndlessResponse(Response[T]):
    """An answer of type `T` that comes bit by bit, as long as `answer` has something to send."""

    def __init__(self, answer: ASGIResponse) -> None:
        self.answer = answer

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIResponse:
        """Return what was made before; nothing on any layer adds to it."""
        return self.answer


def representation(
    revision: int, body: str | bytes | None, *, status: int = 200, weak: bool = False, headers: Headers | None = None
) -> JSONResponse[Any]:
    """Answer with a body and its revision as the ETag; without a body the client holds that revision, 304."""
    fields = [(b"etag", (b'W/"%d"' if weak else b'"%d"') % revision), *(headers or ())]
    return JSONResponse(body, status=304 if body is None else status, headers=fields)


def packed(
    scope: Any,
    revision: int,
    body: bytes | None,
    *,
    coding: bytes | None,
    known: Sequence[int] | None,
    headers: Headers | None = None,
) -> JSONResponse[Any]:
    """Answer with a body that may be packed: its tag is a weak one then, its bytes are others (RFC 9110, 8.8.3.3).

    `known` are the revisions that the client holds, None for any; without a body it holds this one.
    """
    weak = coding is not None
    if known is None:
        return representation(revision, None, weak=weak)
    fields = [*(headers or ()), *([(b"content-encoding", coding)] if coding else ())]
    return representation(
        revision, body, weak=weak if body is not None else has_weak_tag(scope, revision), headers=fields
    )


def address(scope: Any) -> str:
    """Return the path of a request as its client wrote it, for links: only that may lead through a proxy to us."""
    path: str = scope["state"].get(ASKED_PATH) or scope["path"]
    return path.rstrip("/")


def nothing() -> JSONResponse[None]:
    """204."""
    return JSONResponse(None, status=204)

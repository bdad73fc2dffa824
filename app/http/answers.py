"""Answers whose JSON is ready: they go out as they are, past Litestar's serialization."""

from typing import Any, Final, TypeVar

from litestar import Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

T = TypeVar("T")

JSON: Final = (b"content-type", b"application/json")


class BytesResponse(ASGIResponse):
    """Status, headers and body in the form that the server takes."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self._start = {"type": "http.response.start", "status": status, "headers": headers}
        self._body = {"type": "http.response.body", "body": body}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send."""
        await send(self._start)  # type: ignore[arg-type]  # litestar's TypedDicts want literals
        await send(self._body)  # type: ignore[arg-type]


class JSONResponse(Response[T]):
    """JSON text of type `T` made by the database; `T` is what OpenAPI says and a contract test checks."""

    def __init__(self, body: str | bytes | None, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = body.encode() if isinstance(body, str) else body or b""
        fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
        if body is not None:
            fields += [JSON, (b"content-length", str(len(data)).encode())]
        self._ready = BytesResponse(status, fields, data)

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIResponse:
        """Return what was made in the constructor; nothing on any layer adds to it."""
        return self._ready


def representation(
    revision: int, body: str | bytes | None, *, status: int = 200, headers: dict[str, str] | None = None
) -> JSONResponse[Any]:
    """Answer with a body and its revision as the ETag; without a body the client holds that revision, 304."""
    return JSONResponse(
        body, status=304 if body is None else status, headers={"ETag": f'"{revision}"', **(headers or {})}
    )


def nothing() -> JSONResponse[None]:
    """204."""
    return JSONResponse(None, status=204)

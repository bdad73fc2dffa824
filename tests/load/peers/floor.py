"""uvicorn with next to nothing behind it: every request gets the same small answer, and no database is asked."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

BODY: Final = b'{"status":"healthy"}'
HEADERS: Final = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]


async def app(
    _scope: dict[str, Any],
    _receive: Callable[[], Awaitable[Any]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})

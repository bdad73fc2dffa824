"""What browsers learn of answers to other origins (Fetch standard, CORS protocol), whoever answers.

An origin without permission gets no header of the protocol, and is logged once; how many are remembered is bounded.
"""

import re
from collections.abc import Collection
from typing import Any, Final

import structlog

from app.errors import Problem
from app.http.answers import Answer, Headers
from app.http.headers import first, values
from app.origins import Grant, Origins, is_origin

METHODS: Final = (b"access-control-allow-methods", b"DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")
REQUEST_HEADERS: Final = (
    *("accept", "accept-language", "authorization", "content-language", "content-type"),
    *("idempotency-key", "if-match", "if-none-match", "x-request-id"),
)
"""Always allowed, so that the answer to one preflight serves other requests too; further ones as they are asked for."""

HEADER_NAME: Final = re.compile(r"[a-z0-9._-]{1,64}")
MAX_AGE: Final = (b"access-control-max-age", b"7200")
"""Seconds that browsers keep the answer to a preflight; Chromium keeps none longer."""

CREDENTIALS: Final = (b"access-control-allow-credentials", b"true")
VARY: Final = (b"vary", b"Origin")
NULL: Final = "null"
LOGGED: Final = 100
"""Refused origins that a process logs: anybody can send any."""

logger = structlog.get_logger("app.http")


class OriginNotAllowed(Problem):
    """A browser asks for a page whose origin CORS_ORIGINS does not name."""

    status, code = 403, "origin_not_allowed"
    detail = "Pages of this origin may not call this API; if they should, add it to the server's setting CORS_ORIGINS"

    def __init__(self, origin: str) -> None:
        super().__init__(origin)
        if origin == NULL:
            self.detail = (
                "Pages without an origin, such as files and sandboxed frames, may not call this API; "
                "serve the page over HTTP, and add its origin to the server's setting CORS_ORIGINS"
            )
        elif is_origin(origin):
            self.detail = (
                f"Pages of {origin} may not call this API; "
                "if they should, add this origin to the server's setting CORS_ORIGINS"
            )


class CrossOrigin:
    """The headers for requests with an `Origin`, and the answers to preflights; scripts may read those `exposed`."""

    def __init__(self, origins: Origins | None = None, exposed: Collection[str] = ()) -> None:
        self._origins = origins or Origins()
        self._exposed = (b"access-control-expose-headers", ", ".join(sorted(exposed)).encode())
        self._refused: set[str] = set()
        self.vary: Headers = [] if self._origins.none else [VARY]
        """What answers need that have no `Vary` of their own: a cache must not hand them to another origin."""

    def headers(self, scope: Any) -> Headers:
        """Return what to add to an answer: nothing for requests without an origin, or of one without permission."""
        found = values(scope, b"origin")
        if not found:
            return []
        origin = _origin(found)
        grant = self._origins.grant(origin)
        if grant is Grant.NOTHING:
            self._note(origin, scope)
            return []
        if grant is Grant.READ_WITH_CREDENTIALS:
            return [(b"access-control-allow-origin", found[0]), CREDENTIALS, self._exposed]
        return [(b"access-control-allow-origin", b"*" if self._origins.any else found[0]), self._exposed]

    def preflight(self, scope: Any) -> Answer | OriginNotAllowed:
        """Answer a preflight; what `headers` returns belongs to it, too."""
        origin = _origin(values(scope, b"origin"))
        if self._origins.grant(origin) is Grant.NOTHING:
            return OriginNotAllowed(origin)
        asked = b",".join(values(scope, b"access-control-request-headers")).decode("latin-1").lower()
        further = (name.strip() for name in asked.split(","))
        names = dict.fromkeys((*REQUEST_HEADERS, *filter(HEADER_NAME.fullmatch, further)))
        return Answer(204, [METHODS, (b"access-control-allow-headers", ", ".join(names).encode()), MAX_AGE], b"")

    def _note(self, origin: str, scope: Any) -> None:
        """Log a refused origin, unless that was done, or the page is our own: those need no permission."""
        if origin in self._refused or len(self._refused) >= LOGGED or not (origin == NULL or is_origin(origin)):
            return
        if first(scope, b"sec-fetch-site") == b"same-origin" or origin.endswith(f"://{_host(scope)}"):
            return
        self._refused.add(origin)
        logger.warning("origin refused", origin=origin, detail=OriginNotAllowed(origin).detail)
        if len(self._refused) == LOGGED:
            logger.warning("further refused origins are not logged")


def is_preflight(scope: Any) -> bool:
    """Tell whether a browser asks for permission (Fetch standard, CORS-preflight request)."""
    return (
        scope["method"] == "OPTIONS"
        and bool(values(scope, b"origin"))
        and bool(values(scope, b"access-control-request-method"))
    )


def _origin(found: list[bytes]) -> str:
    """Return the one origin of a request; several are nobody's."""
    return found[0].decode("latin-1") if len(found) == 1 else ""


def _host(scope: Any) -> str:
    return first(scope, b"host").decode("latin-1")

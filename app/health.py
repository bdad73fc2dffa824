"""Probes from process state. None asks the database: regular probes would keep a Neon compute awake for ever."""

from typing import Any

from litestar import get
from msgspec import Struct

from app import __version__
from app.auth.bearer import PUBLIC
from app.errors import ShuttingDown
from app.http.openapi import operation, problems
from app.lifecycle import PROCESS


class Service(Struct):
    """What runs here."""

    name: str
    version: str
    docs: str


class Health(Struct):
    """State of this process."""

    status: str


def _documented(name: str, summary: str, example: Any) -> dict[str, Any]:
    return {
        "opt": PUBLIC,
        "operation_id": name,
        "summary": summary,
        "tags": ["service"],
        "operation_class": operation(success=summary, example=example, public=True),
    }


@get(
    "/",
    **_documented(
        "getService", "Name and version", {"name": "litestar-tasks", "version": __version__, "docs": "/docs"}
    ),
)
async def service() -> Service:
    """Name and version of the service, and where its documentation is."""
    return Service("litestar-tasks", __version__, "/docs")


@get("/health", **_documented("getHealth", "Liveness", {"status": "ok"}))
async def health() -> Health:
    """Answer, which is all there is to being alive."""
    return Health("ok")


@get(
    "/ready",
    responses={503: problems()[503]},
    **_documented("getReadiness", "Readiness", {"status": "ready"}),
)
async def ready() -> Health:
    """Tell whether the process wants requests: from its start until it is told to stop."""
    if PROCESS.draining:
        raise ShuttingDown
    return Health("ready")

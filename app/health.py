"""Probes from process state. None asks the database: regular probes would keep a Neon compute awake for ever."""

from typing import Any, Final

from litestar import get
from litestar.datastructures import State
from msgspec import Struct, json

from app.auth.bearer import PUBLIC
from app.errors import Problem, ShuttingDown
from app.http.answers import JSONResponse
from app.http.openapi import operation
from app.settings import VERSION


class Service(Struct):
    """What runs here."""

    name: str
    version: str
    docs: str


class Health(Struct):
    """State of this process."""

    status: str


SERVICE: Final = {"name": "litestar-tasks", "version": VERSION, "docs": "/docs"}


def _probe(name: str, summary: str, example: Any, *problems: type[Problem]) -> dict[str, Any]:
    options = operation(name, summary, success=summary, example=example, problems=problems)
    return {**options, "opt": {**options["opt"], **PUBLIC}, "tags": ["service"]}


@get("/", **_probe("getService", "Name and version", SERVICE))
async def service() -> JSONResponse[Service]:
    """Name and version of the service, and where its documentation is."""
    return JSONResponse(json.encode(SERVICE))


@get("/health", **_probe("getHealth", "Liveness", {"status": "healthy"}))
async def health() -> JSONResponse[Health]:
    """Answer, which is all there is to being alive."""
    return JSONResponse(json.encode(Health("healthy")))


@get("/ready", **_probe("getReadiness", "Readiness", {"status": "ready"}, ShuttingDown))
async def ready(state: State) -> Health:
    """Tell whether the process wants requests: from its start until it is told to stop."""
    if state.lifecycle.draining:
        raise ShuttingDown
    return Health("ready")

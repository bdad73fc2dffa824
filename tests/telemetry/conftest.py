import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import httpx
import pytest
from litestar import Litestar

from app.logs import AccessLine
from app.settings import Settings
from tests.conftest import client_of, running
from tests.telemetry.receivers import Receiver, receiving


@pytest.fixture(scope="session")
def collector() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="session", params=[True, False], ids=["called directly", "through Litestar"])
async def traced(
    settings: Settings, collector: Receiver, request: pytest.FixtureRequest
) -> AsyncIterator[tuple[Litestar, Settings]]:
    """An application that traces, and sends what it has at once."""
    changed = replace(settings, otel_exporter_otlp_endpoint=collector.url, direct_dispatch=request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
        async with running(changed) as app:
            yield app, changed


@pytest.fixture
async def traced_client(traced: tuple[Litestar, Settings], user_id: str) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(*traced, user_id) as client:
        yield client


@pytest.fixture
def trace_id() -> str:
    """The id of a trace that a caller has begun."""
    return new_trace_id()


def new_trace_id() -> str:
    return secrets.token_hex(16)


def of_caller(trace_id: str, *, flags: str = "01") -> dict[str, str]:
    """Headers of a caller whose span is `PARENT`."""
    return {"traceparent": f"00-{trace_id}-{PARENT}-{flags}"}


def access_line() -> AccessLine:
    """The line of a request that went well."""
    return AccessLine(method="GET", route=None, status=200, duration_ms=1, bytes=0, user_id=None, request_id="1")


PARENT = "00f067aa0ba902b7"

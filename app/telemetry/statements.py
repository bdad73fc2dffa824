"""Spans for what a sampled request did in the database: waiting, connecting, and the statement by its name.

They are made when it is over, from the durations that app/db/observation.py hands over. A statement for several
requests is in the trace of each. No span has a value, a row, or the text of a statement or an error.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.semconv.attributes.db_attributes import DB_QUERY_SUMMARY, DB_SYSTEM_NAME
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from app.db.observation import Execution
from app.settings import VERSION

SECOND: Final = 1e9
NOTICEABLE: Final = 100_000
"""Nanoseconds from which waiting and connecting are shown: to find its turn free takes a request some microseconds."""

POSTGRESQL: Final = "postgresql"
WAIT: Final = "wait for a connection"
CONNECT: Final = "connect"
REQUESTS: Final = "app.db.requests"
"""How many requests the statement answered."""
RETRIES: Final = "app.db.retries"
"""Attempts before the last one."""


class StatementSpans:
    """Observes the database for the requests that have a span."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("app", VERSION)

    def observe(self, execution: Execution) -> None:
        """Add spans to the trace of each sampled request that the execution was for."""
        for context in execution.contexts:
            if context is not None:
                self._add(execution, context)

    def _add(self, execution: Execution, context: Context) -> None:
        began = execution.started
        called = began + int(execution.waited * SECOND)
        sent = called + int(execution.connecting * SECOND)
        request = get_current_span(context)
        if isinstance(request, ReadableSpan) and request.start_time:
            began = max(began, request.start_time)  # of several requests, another one has waited for longer
        error = None if execution.outcome == "ok" else execution.outcome
        if not execution.lent:
            self._span(WAIT, context, (began, called), error=error)
            return
        if called - began >= NOTICEABLE:
            self._span(WAIT, context, (began, called))
        if sent - called >= NOTICEABLE:
            self._span(CONNECT, context, (called, sent))
        attributes: dict[str, str | int] = {DB_SYSTEM_NAME: POSTGRESQL, DB_QUERY_SUMMARY: execution.name}
        if execution.requests > 1:
            attributes[REQUESTS] = execution.requests
        if execution.retries:
            attributes[RETRIES] = execution.retries
        end = sent + int(execution.took * SECOND)
        self._span(execution.name, context, (sent, end), SpanKind.CLIENT, attributes, error=error)

    def _span(
        self,
        name: str,
        parent: Context,
        period: tuple[int, int],
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, str | int] = MappingProxyType({}),
        *,
        error: str | None = None,
    ) -> None:
        """Make a span of a period in nanoseconds since 1970."""
        start, end = period
        span = self._tracer.start_span(name, parent, kind, attributes, start_time=start)
        if error is not None:
            span.set_attribute(ERROR_TYPE, error)
            span.set_status(StatusCode.ERROR)
        span.end(end)

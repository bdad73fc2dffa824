"""A span for each request that is sampled; the others are decided about and forgotten.

Attributes follow OpenTelemetry's semantic conventions for HTTP servers, without those that hold what a client sent:
no path, no query string, no address, no header.
"""

from collections.abc import Callable
from random import getrandbits
from time import perf_counter_ns, time_ns
from typing import Any, Final

from msgspec import UNSET
from opentelemetry.context import Context
from opentelemetry.propagate import extract, get_global_textmap
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import (
    HTTP_REQUEST_METHOD,
    HTTP_RESPONSE_STATUS_CODE,
    HTTP_ROUTE,
)
from opentelemetry.semconv.attributes.network_attributes import NETWORK_PROTOCOL_VERSION
from opentelemetry.semconv.attributes.url_attributes import URL_SCHEME
from opentelemetry.trace import SpanKind, StatusCode, format_trace_id, set_span_in_context
from structlog.contextvars import bind_contextvars, unbind_contextvars

from app.db.observation import CONTEXT
from app.logs import AccessLine
from app.settings import VERSION
from app.telemetry import sampling

METHODS: Final = {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
UNKNOWN_METHOD: Final = "_OTHER"
FIRST_FAILURE: Final = 500
TRACE_PARENT: Final = b"traceparent"
BESIDES: Final = {"tracestate", "baggage"}
"""Headers that mean nothing by themselves, and baggage, which goes nowhere from here."""

Log = Callable[[AccessLine], None]


class DrawnIds(RandomIdGenerator):
    """Gives the next trace the id for which it was let through."""

    drawn: int | None = None

    def generate_trace_id(self) -> int:
        drawn, self.drawn = self.drawn, None
        return drawn or super().generate_trace_id()


class RequestSpans:
    """Begins and ends the spans of requests, as children of the callers' spans."""

    def __init__(self, provider: TracerProvider, ids: DrawnIds) -> None:
        self._tracer = provider.get_tracer("app", VERSION)
        self._ids = ids
        self._bound = sampling.bound(provider.sampler)
        self._headers = get_global_textmap().fields - {"baggage"}
        self._signs = tuple(name.encode() for name in self._headers - BESIDES)
        self._obeys = self._signs == (TRACE_PARENT,) and sampling.obeys(provider.sampler)

    def begin(self, scope: Any, log: Log) -> Log:
        """Return what ends the request's span with its line in the log; `log` itself for one that is not sampled."""
        signs = self._signs
        for name, value in scope["headers"]:
            if name in signs:
                if self._obeys and sampling.LEFT_OUT.fullmatch(value):
                    return log
                return self._begin(scope, log, self._caller(scope))
        trace_id = getrandbits(128)  # as the SDK draws it
        if trace_id & sampling.LOW_BITS >= self._bound:
            return log
        self._ids.drawn = trace_id
        return self._begin(scope, log, Context())

    def _caller(self, scope: Any) -> Context:
        """Return what the headers say about the caller's span; empty where they say nothing that is valid."""
        sent: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            header = name.decode("latin-1")
            if header in self._headers:
                sent.setdefault(header, []).append(value.decode("latin-1"))
        return extract(sent, Context())

    def _begin(self, scope: Any, log: Log, caller: Context) -> Log:
        started, mark = time_ns(), perf_counter_ns()
        method = scope["method"] if scope["method"] in METHODS else UNKNOWN_METHOD
        attributes = {
            HTTP_REQUEST_METHOD: method,
            URL_SCHEME: scope["scheme"],
            NETWORK_PROTOCOL_VERSION: scope["http_version"],
        }
        span = self._tracer.start_span(method, caller, SpanKind.SERVER, attributes, start_time=started)
        if not span.is_recording():
            return log
        trace_id = format_trace_id(span.get_span_context().trace_id)
        bind_contextvars(trace_id=trace_id)
        token = CONTEXT.set(set_span_in_context(span, Context()))

        def end(line: AccessLine) -> None:
            CONTEXT.reset(token)
            unbind_contextvars("trace_id")
            line.trace_id = trace_id
            name = "HTTP" if method == UNKNOWN_METHOD else method
            if line.route is not None:
                name = f"{name} {line.route}"
                span.set_attribute(HTTP_ROUTE, line.route)
            span.update_name(name)
            span.set_attribute(HTTP_RESPONSE_STATUS_CODE, line.status)
            if line.status >= FIRST_FAILURE:
                span.set_attribute(ERROR_TYPE, str(line.status) if line.code is UNSET else line.code)
                span.set_status(StatusCode.ERROR)
            span.end(started + perf_counter_ns() - mark)
            log(line)

        return end

"""Who is traced: the SDK decides, and is not asked where the answer is known."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    DEFAULT_ON,
    Decision,
    ParentBased,
    ParentBasedTraceIdRatio,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)

from app.logs import AccessLine
from app.telemetry import requests, sampling
from app.telemetry.requests import DrawnIds, RequestSpans
from tests.telemetry.conftest import PARENT, access_line

SAMPLERS = [
    ALWAYS_ON,
    ALWAYS_OFF,
    DEFAULT_ON,
    DEFAULT_OFF,
    TraceIdRatioBased(0.01),
    ParentBasedTraceIdRatio(0.01),
    ParentBasedTraceIdRatio(0),
    ParentBasedTraceIdRatio(1),
    ParentBased(ALWAYS_OFF, remote_parent_not_sampled=ALWAYS_ON),
]
BOUND = TraceIdRatioBased.get_bound_for_rate(0.01)
IDS = [1, BOUND - 1, BOUND, 2**63, 2**64 - 1, (7 << 64) + BOUND - 1, (7 << 64) + BOUND, 2**128 - 1]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HIGH = "4bf92f3577b34da6ffffffffffffffff"


class Traced:
    """Answers requests that have these headers, and tells of their spans."""

    def __init__(self, sampler: Sampler) -> None:
        ids, self._exporter = DrawnIds(), InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler, id_generator=ids, shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._spans = RequestSpans(self.provider, ids)

    def __call__(self, *headers: tuple[bytes, bytes]) -> str | None:
        """Return the id of the trace, None where there is none."""
        lines: list[AccessLine] = []
        scope = {"method": "GET", "scheme": "http", "http_version": "1.1", "headers": headers}
        line = access_line()
        self._exporter.clear()
        self._spans.begin(scope, lines.append)(line)
        assert lines == [line]
        spans = self._exporter.get_finished_spans()
        assert len(spans) == (1 if line.trace_id else 0)
        return line.trace_id or None


@pytest.fixture
def traced() -> Iterator[Callable[[Sampler], Traced]]:
    made: list[Traced] = []

    def make(sampler: Sampler) -> Traced:
        made.append(Traced(sampler))
        return made[-1]

    yield make
    for each in made:
        each.provider.shutdown()


def of_sampler(sampler: Sampler) -> str:
    return sampler.get_description().split(",", maxsplit=1)[0]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=of_sampler)
@pytest.mark.parametrize("drawn", IDS)
def test_a_trace_that_begins_here_is_sampled_as_the_sdk_would(
    traced: Callable[[Sampler], Traced], monkeypatch: pytest.MonkeyPatch, sampler: Sampler, drawn: int
) -> None:
    monkeypatch.setattr(requests, "getrandbits", lambda _bits: drawn)
    expected = sampler.should_sample(Context(), drawn, "GET").decision is Decision.RECORD_AND_SAMPLE
    assert traced(sampler)() == (f"{drawn:032x}" if expected else None)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=of_sampler)
@pytest.mark.parametrize("trace_id", [TRACE, HIGH])
@pytest.mark.parametrize("flags", ["00", "01", "02", "03", "ff"])
def test_a_caller_is_followed_as_the_sdk_would(
    traced: Callable[[Sampler], Traced], sampler: Sampler, trace_id: str, flags: str
) -> None:
    header = f"00-{trace_id}-{PARENT}-{flags}"
    context = propagate.extract({"traceparent": header}, Context())
    expected = sampler.should_sample(context, int(trace_id, 16), "GET").decision is Decision.RECORD_AND_SAMPLE
    assert traced(sampler)((b"host", b"x"), (b"traceparent", header.encode())) == (trace_id if expected else None)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"00-{'0' * 32}-{PARENT}-00",
        f"00-{TRACE}-{'0' * 16}-00",
        f"00-{TRACE.upper()}-{PARENT}-00",
        f"ff-{TRACE}-{PARENT}-00",
        f"00-{TRACE}-{PARENT}-00-more",
        f"00-{TRACE}-{PARENT}-0g",
        f"00-{TRACE}-{PARENT}-00" + "-" * 600,
    ],
)
def test_a_caller_who_says_nothing_valid_is_none(traced: Callable[[Sampler], Traced], header: str) -> None:
    assert traced(DEFAULT_ON)((b"traceparent", header.encode())) not in {None, TRACE}
    assert traced(DEFAULT_OFF)((b"traceparent", header.encode())) is None


def test_a_later_version_of_the_header_is_understood(traced: Callable[[Sampler], Traced]) -> None:
    header = f"cc-{TRACE}-{PARENT}-01-what-comes-later".encode()
    assert traced(DEFAULT_OFF)((b"traceparent", header)) == TRACE


@given(parent=st.binary(max_size=80), state=st.binary(max_size=80))
def test_no_header_breaks_a_request(parent: bytes, state: bytes) -> None:
    traced = Traced(ParentBasedTraceIdRatio(0.5))
    for sent in (parent, f"00-{TRACE}-{PARENT}-01".encode()):
        traced((b"traceparent", sent), (b"tracestate", state), (b"tracestate", b"a=1"), (b"baggage", state))
    traced.provider.shutdown()


class Unasked(ParentBasedTraceIdRatio):
    """Must not be asked, since what it would say is known."""

    def should_sample(self, *_: Any, **__: Any) -> SamplingResult:
        raise AssertionError


def test_a_request_that_is_left_out_costs_no_more_than_a_draw_or_a_look(
    traced: Callable[[Sampler], Traced], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "getrandbits", lambda _bits: 2**128 - 1)
    unasked = traced(Unasked(0.01))
    assert unasked((b"host", b"x")) is None
    assert unasked((b"traceparent", f"00-{TRACE}-{PARENT}-00".encode())) is None


def test_a_share_is_drawn(traced: Callable[[Sampler], Traced]) -> None:
    half = traced(ParentBasedTraceIdRatio(0.5))
    assert 300 < sum(half() is not None for _ in range(1000)) < 700
    assert sampling.bound(DEFAULT_ON) == 2**64


def test_without_propagators_callers_are_not_followed(
    traced: Callable[[Sampler], Traced], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", CompositePropagator([]))
    assert traced(DEFAULT_ON)((b"traceparent", f"00-{TRACE}-{PARENT}-00".encode())) not in {None, TRACE}

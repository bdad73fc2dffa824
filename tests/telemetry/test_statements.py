"""What a trace says about the database: waiting, connecting, one statement for several, and how it ended."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace

import asyncpg
import httpx
import pytest
from opentelemetry.context import Context
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Exported
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Span, StatusCode, set_span_in_context

from app.db.failures import AnswerLost, QueueFull
from app.db.observation import CONTEXT, Execution
from app.settings import Settings
from app.telemetry.statements import StatementSpans
from tests.conftest import client_of, running
from tests.telemetry.conftest import new_trace_id, of_caller
from tests.telemetry.receivers import Receiver
from tests.test_logs import AWAY

TASKS = "/api/me/tasks"


async def test_each_request_that_shared_a_statement_has_it_in_its_trace(
    traced_client: httpx.AsyncClient, collector: Receiver
) -> None:
    task = (await traced_client.post(TASKS, json={"title": "x"})).json()
    traces = [new_trace_id() for _ in range(30)]
    path = f"{TASKS}/{task['id']}"
    await asyncio.gather(*[traced_client.get(path, headers=of_caller(trace)) for trace in traces])
    shared = set()
    for trace in traces:
        request = next(
            received for received in collector.trace(trace) if received.span.kind == Exported.SPAN_KIND_SERVER
        )
        [statement] = [received for received in collector.spans(trace) if received.name == "tasks.read"]
        assert statement.span.parent_span_id == request.span.span_id
        assert all(
            received.span.start_time_unix_nano >= request.span.start_time_unix_nano
            for received in collector.spans(trace)
        )
        shared.add(statement.attributes.get("app.db.requests", 1))
    assert max(shared) > 1


async def test_waiting_for_a_turn_is_a_span_of_its_own(
    traced_client: httpx.AsyncClient, collector: Receiver, connection: asyncpg.Connection, user_id: str
) -> None:
    task = (await traced_client.post(TASKS, json={"title": "x"})).json()
    traces = [new_trace_id() for _ in range(3)]
    async with connection.transaction():
        await connection.execute("SELECT 1 FROM users WHERE id = $1 FOR UPDATE", user_id)
        writes = [
            asyncio.create_task(
                traced_client.patch(f"{TASKS}/{task['id']}", json={"title": "y"}, headers=of_caller(trace))
            )
            for trace in traces
        ]
        await asyncio.sleep(0.1)
    await asyncio.gather(*writes)
    names = [[received.name for received in collector.trace(trace)] for trace in traces]
    route = "PATCH /api/{user_id}/tasks/{task_id}"
    assert [name[0] for name in names] == [route] * 3
    assert sorted(name[1:] for name in names)[2] == ["wait for a connection", "tasks.update"]


async def test_a_database_that_is_away_is_an_error_of_the_statement(
    settings: Settings, collector: Receiver, user_id: str, trace_id: str
) -> None:
    away = replace(settings, otel_exporter_otlp_endpoint=collector.url, **AWAY)
    async with running(away) as app, client_of(app, settings, user_id) as client:
        assert (await client.get(TASKS, headers=of_caller(trace_id))).status_code == 503
    request, *_, statement = collector.trace(trace_id)
    assert request.attributes["error.type"] == "database_unavailable"
    assert (statement.name, statement.attributes["error.type"]) == ("tasks.list", "failed")
    assert b"pa55word" not in b"".join(collector.bodies)


Observed = Callable[[Execution], list[ReadableSpan]]


@pytest.fixture
def request_span() -> Iterator[Span]:
    """The span of a request that is under way."""
    provider = TracerProvider(shutdown_on_exit=False)
    span = provider.get_tracer("test").start_span("request")
    token = CONTEXT.set(set_span_in_context(span, Context()))
    yield span
    CONTEXT.reset(token)
    provider.shutdown()


@pytest.fixture
def observed(request_span: Span) -> Iterator[Observed]:
    """Returns the spans that an execution leaves in the request's trace."""
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans = StatementSpans(provider)

    def observe(execution: Execution) -> list[ReadableSpan]:
        exporter.clear()
        spans.observe(execution)
        finished = list(exporter.get_finished_spans())
        for span in finished:
            assert span.parent
            assert span.parent.span_id == request_span.get_span_context().span_id
        return finished

    yield observe
    provider.shutdown()


def milliseconds(span: ReadableSpan) -> int:
    assert span.start_time
    assert span.end_time
    return round((span.end_time - span.start_time) / 1e6)


def test_durations_become_spans_one_after_the_other(observed: Observed) -> None:
    execution = Execution.begin("tasks.list")
    execution.began -= 100  # the request's span has begun later
    execution.attempt()
    execution.waited, execution.connecting, execution.took, execution.retries = 160, 0.3, 0.4, 2
    wait, connect, statement = observed(execution)
    assert [span.name for span in (wait, connect, statement)] == ["wait for a connection", "connect", "tasks.list"]
    assert wait.end_time == connect.start_time
    assert connect.end_time == statement.start_time
    assert 59_000 < milliseconds(wait) < 61_000
    assert (milliseconds(connect), milliseconds(statement)) == (300, 400)
    assert statement.attributes
    assert statement.attributes["app.db.retries"] == 2


def test_what_takes_no_time_is_not_shown(observed: Observed) -> None:
    execution = Execution.begin("tasks.list")
    execution.attempt()
    execution.waited = 0.00001
    execution.answered()
    assert [span.name for span in observed(execution)] == ["tasks.list"]


@pytest.mark.parametrize(
    ("error", "sent", "name", "outcome"),
    [
        (QueueFull(), False, "wait for a connection", "refused"),
        (AnswerLost(), True, "tasks.list", "unknown"),
        (TimeoutError("s3cret"), True, "tasks.list", "failed"),
        (asyncio.CancelledError(), True, "tasks.list", "cancelled"),
    ],
)
def test_an_end_without_an_answer_is_an_error_where_it_came(
    observed: Observed, error: BaseException, sent: bool, name: str, outcome: str
) -> None:
    execution = Execution.begin("tasks.list")
    if sent:
        execution.attempt()
    execution.failed(error)
    *_, last = observed(execution)
    assert (last.name, last.status.status_code, last.status.description) == (name, StatusCode.ERROR, None)
    assert last.attributes
    assert last.attributes["error.type"] == outcome
    assert not last.events


def test_requests_that_are_not_traced_leave_nothing(observed: Observed) -> None:
    execution = Execution.begin("tasks.list")
    execution.others = (None, None)
    execution.attempt()
    assert observed(execution) == []

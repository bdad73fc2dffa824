"""What a trace says about a request, and what it never says."""

import json

import httpx
import pytest
from litestar import Litestar, get
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from app.auth.bearer import PUBLIC
from app.settings import Settings
from tests.telemetry.conftest import PARENT, new_trace_id, of_caller
from tests.telemetry.receivers import Receiver

TASKS = "/api/me/tasks"


async def test_the_trace_of_a_caller_goes_on_with_the_request_and_its_statement(
    traced_client: httpx.AsyncClient, collector: Receiver, trace_id: str
) -> None:
    headers = {**of_caller(trace_id), "tracestate": "vendor=1"}
    await traced_client.post(f"{TASKS}?ignored=1", json={"title": "x"}, headers=headers)
    request, *_, statement = collector.trace(trace_id)  # the first of an application has to connect in between
    assert request.name == "POST /api/{user_id}/tasks"
    assert request.span.kind == Span.SPAN_KIND_SERVER
    assert request.span.parent_span_id.hex() == PARENT
    assert request.span.trace_state == "vendor=1"
    assert request.attributes == {
        "http.request.method": "POST",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "http.route": "/api/{user_id}/tasks",
        "http.response.status_code": 201,
    }
    assert statement.name == "tasks.create"
    assert statement.span.kind == Span.SPAN_KIND_CLIENT
    assert statement.span.parent_span_id == request.span.span_id
    assert statement.attributes == {"db.system.name": "postgresql", "db.query.summary": "tasks.create"}
    for received in (request, statement):
        assert received.span.status.code == Status.STATUS_CODE_UNSET
        assert received.resource["service.name"] == "litestar-tasks"
        assert received.span.start_time_unix_nano <= received.span.end_time_unix_nano
    assert request.span.start_time_unix_nano <= statement.span.start_time_unix_nano
    assert statement.span.end_time_unix_nano <= request.span.end_time_unix_nano


async def test_a_request_without_a_caller_begins_a_trace(
    traced_client: httpx.AsyncClient, collector: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    await traced_client.get(TASKS)
    line = json.loads(capsys.readouterr().out)
    [request, *_] = collector.trace(line["trace_id"])
    assert (request.name, request.span.parent_span_id) == ("GET /api/{user_id}/tasks", b"")


async def test_what_a_caller_left_out_is_left_out_here(
    traced_client: httpx.AsyncClient, collector: Receiver, capsys: pytest.CaptureFixture[str], trace_id: str
) -> None:
    await traced_client.get(TASKS, headers=of_caller(trace_id, flags="00"))
    assert "trace_id" not in json.loads(capsys.readouterr().out.splitlines()[-1])
    later = new_trace_id()
    await traced_client.get(TASKS, headers=of_caller(later))
    collector.trace(later)
    assert not collector.spans(trace_id)


@pytest.mark.parametrize(
    ("method", "path", "name", "status"),
    [
        ("GET", "/nowhere", "GET", 404),
        ("BREW", "/health", "HTTP", 405),
        ("HEAD", "/api/tasks", "HEAD /api/{user_id}/tasks", 200),
        ("PATCH", f"{TASKS}/1", "PATCH /api/{user_id}/tasks/{{task_id}}", 404),
    ],
)
async def test_names_are_few_whatever_is_asked_for(
    traced_client: httpx.AsyncClient, collector: Receiver, trace_id: str, method: str, path: str, name: str, status: int
) -> None:
    content = b'{"title": "x"}' if method == "PATCH" else None
    headers = {**of_caller(trace_id), "Content-Type": "application/json"}
    await traced_client.request(method, path, content=content, headers=headers)
    request = collector.trace(trace_id)[0]
    assert request.name.split(" ")[0] == name.split(" ", maxsplit=1)[0]
    assert request.attributes["http.response.status_code"] == status
    assert request.attributes["http.request.method"] == (method if method != "BREW" else "_OTHER")
    assert request.span.status.code == Status.STATUS_CODE_UNSET


@get("/traced-and-broken", opt=PUBLIC)
async def broken() -> None:
    raise ZeroDivisionError("s3cret")


async def test_a_failure_is_one_in_the_trace_and_its_lines_have_the_id(
    traced: tuple[Litestar, Settings],
    traced_client: httpx.AsyncClient,
    collector: Receiver,
    capsys: pytest.CaptureFixture[str],
    trace_id: str,
) -> None:
    app, _ = traced
    if "/traced-and-broken" not in app.route_handler_method_map:
        app.register(broken)
    response = await traced_client.get("/traced-and-broken", headers=of_caller(trace_id))
    assert response.status_code == 500
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["event"], line["trace_id"]) for line in lines] == [
        ("unhandled exception", trace_id),
        ("request", trace_id),
    ]
    [request] = collector.trace(trace_id)
    assert (request.span.status.code, request.span.status.message) == (Status.STATUS_CODE_ERROR, "")
    assert request.attributes["error.type"] == "internal_error"
    assert not request.span.events
    await traced_client.get("/health", headers=of_caller(new_trace_id(), flags="00"))
    assert "trace_id" not in capsys.readouterr().out


async def test_nothing_of_a_client_but_what_it_does_is_exported(
    traced_client: httpx.AsyncClient, collector: Receiver, user_id: str, trace_id: str
) -> None:
    headers = {**of_caller(trace_id), "Cookie": "s3cret-cookie", "User-Agent": "s3cret-agent", "baggage": "s3cret=1"}
    task = (await traced_client.post(TASKS, json={"title": "s3cret-title"}, headers=headers)).json()
    for path in (f"{TASKS}?search=s3cret-query", f"/api/{user_id}/tasks/{task['id']}", "/s3cret-path"):
        await traced_client.get(path, headers={**headers, "X-Request-Id": "s3cret-id"})
    await traced_client.get("/api/s3cret-other/tasks", headers=headers)
    later = new_trace_id()
    await traced_client.get("/health", headers=of_caller(later))
    collector.trace(later)
    assert len(collector.spans(trace_id)) > 5
    token = traced_client.headers["authorization"].removeprefix("Bearer ").encode()
    for secret in (b"s3cret", user_id.encode(), token, token.split(b".")[1], b"127.0.0.1", b"SELECT"):
        assert not any(secret in body for body in collector.bodies)

import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, Final, get_args

import httpx
import jsonschema_rs
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute
from msgspec import defstruct, json, to_builtins

from app.errors import MEDIA_TYPE, ProblemDetails
from app.http.answers import JSONResponse
from app.quotas import Limit
from app.settings import PriorityCase, Settings
from app.tasks.batch.schemas import BatchProblem
from tests.conftest import client_of, random_user, running

TASK: Final = {
    "title": "Buy milk ☕",
    "description": "Two litres",
    "priority": "low",
    "tags": ["home", "søndag"],
    "due_date": "2999-12-31T23:59:59.999999+00:30",
    "completed": True,
}
PLAIN_TASK: Final = {"title": "t"}
BODIES: Final[dict[str, Any]] = {
    "createTask": TASK,
    "putTask": TASK,
    "updateTask": {"description": None, "due_date": None, "tags": None},
    "completeTask": {"completed": False},
    "runBatch": {"operations": [{"op": "put", "uid": "one-of-a-batch", "data": TASK}, {"op": "delete", "id": 9}]},
}

CAUSES: Final[dict[str, dict[str, Any]]] = {
    "nothing is wrong": {},
    "the client holds the revision": {"headers": {"If-None-Match": "{etag}"}},
    "the revision is the current one": {"headers": {"If-Match": "{etag}"}},
    "the revision is stale": {"headers": {"If-Match": '"1"'}},
    "there is no token": {"headers": {"Authorization": ""}},
    "the token is wrong": {"headers": {"Authorization": "Bearer a.b.c"}},
    "the path is somebody else's": {"user_id": "somebody-else"},
    "the task does not exist": {"task_id": 2**63 - 1},
    "the task cannot exist": {"task_id": "nonsense"},
    "the body is not JSON": {"content": b"{"},
    "the body is missing": {"content": b""},
    "the body is null": {"content": b"null"},
    "the body is too large": {"content": b'{"title": "t", "more": "%b"}' % (b"x" * 2**16)},
    "the body is a form": {"content": b"title=t", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
    "the key is no key": {"headers": {"Idempotency-Key": "short"}},
    "the key was used for another task": {"headers": {"Idempotency-Key": "for-another-task"}},
    "the key's task is there": {"headers": {"Idempotency-Key": "for-this-task"}},
    "the key's task is deleted": {"headers": {"Idempotency-Key": "for-a-deleted-task"}},
    "an operation is refused": {"content": b'{"operations": [{"op": "patch", "id": 1, "base": 1, "data": {}}]}'},
    "a field breaks a rule": {"content": b'{"title": "", "completed": "yes"}'},
    "a parameter breaks a rule": {"params": {"limit": "0"}},
    "the changes are no longer known": {"params": {"since": str(2**63 - 1)}},
    "there were too many requests": {"limited": True},
    "the database is away": {"away": True},
    "the process ends": {"draining": True},
    "there are too many streams": {"full": True},
}
STREAM_CAUSES: Final = [
    *("nothing is wrong", "there is no token", "the token is wrong", "the path is somebody else's"),
    *("there were too many requests", "there are too many streams"),
]
"""Whatever else is wrong does not keep a stream from beginning, and this side waits for its end."""


class Service:
    """The application in one of its configurations, beside one without a database, and one that serves little."""

    def __init__(self, app: Litestar, settings: Settings, **others: Litestar) -> None:
        self.settings = settings
        self.document = app.openapi_schema.to_schema()
        self.operations: dict[str, tuple[str, str, Any]] = {
            operation["operationId"]: (method.upper(), path, operation["responses"])
            for path, item in self.document["paths"].items()
            for method, operation in item.items()
        }
        self.types = {
            str(handler.operation_id): handler.parsed_fn_signature.return_type.annotation
            for route in app.routes
            if isinstance(route, HTTPRoute)
            for handler, _ in route.route_handler_map.values()
        }
        self.app = app
        self._others = others

    async def answer(self, operation: str, cause: str) -> httpx.Response:
        """What the operation answers a new user who has two tasks, given that cause."""
        given = dict(CAUSES[cause])
        user_id = random_user()
        async with client_of(self.app, self.settings, user_id) as client:
            await client.post("/api/me/tasks", json=PLAIN_TASK)
            task = (await client.post("/api/me/tasks", json=TASK)).json()
            if "Idempotency-Key" in given.get("headers", {}):
                await client.post("/api/me/tasks", json={**PLAIN_TASK, "uid": "for-another-task"})
                await client.post("/api/me/tasks", json={**TASK, "uid": "for-this-task"})
                await client.post("/api/me/tasks", json={**TASK, "uid": "for-a-deleted-task"})
                await client.delete("/api/me/tasks/for-a-deleted-task")
        method, path, _ = self.operations[operation]
        headers = {
            name: value.replace("{etag}", f'"{task["revision"]}"') for name, value in given.get("headers", {}).items()
        }
        body = given.get("content", json.encode(BODIES[operation]) if operation in BODIES else None)
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        app = next((app for name, app in self._others.items() if name in given), self.app)
        seconds = 3 if operation == "streamEvents" else 3600  # it ends with the token
        async with client_of(app, self.settings, user_id, seconds) as client:
            if "limited" in given:
                await client.get("/api/me")  # the only one that is served
            app.state.lifecycle.draining = "draining" in given
            try:
                return await client.request(
                    method,
                    path.format(user_id=given.get("user_id", user_id), task_id=given.get("task_id", task["id"])),
                    content=body,
                    headers=headers,
                    params=given.get("params"),
                )
            finally:
                app.state.lifecycle.draining = False

    def check(self, operation: str, answer: httpx.Response) -> None:
        """Compare an answer with what the document and the handler's annotation say of it."""
        documented = self.operations[operation][2]
        status = str(answer.status_code)
        assert status in documented
        for name, header in documented[status]["headers"].items():
            if header.get("required") or name in answer.headers:
                self._fits(header["schema"], answer.headers[name])
        if "content" not in documented[status]:
            assert answer.content == b""
            assert "content-type" not in answer.headers
            return
        if operation == "streamEvents" and answer.is_success:
            assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
            self._fits(documented[status]["content"]["text/event-stream"]["schema"], answer.text)
            return
        media_type = MEDIA_TYPE if answer.is_error else "application/json"
        assert answer.headers["content-type"] == media_type
        self._fits(documented[status]["content"][media_type]["schema"], answer.json())
        annotation = self.types[operation]
        expected = get_args(annotation)[0] if get_args(annotation) else annotation
        if operation == "listTasks" and self.settings.list_envelope:
            expected = defstruct("TaskList", [(self.settings.list_envelope, expected)])
        if answer.is_error:
            expected = BatchProblem if answer.json()["code"] == "batch_conflict" else ProblemDetails
        decoded = json.decode(answer.content, type=expected, strict=True)
        assert keys(to_builtins(decoded)) == keys(answer.json())
        if answer.is_error:
            assert decoded.status == answer.status_code
            assert decoded.detail == decoded.message
            assert decoded.request_id == answer.headers["x-request-id"]

    def _fits(self, schema: Mapping[str, Any], value: Any) -> None:
        whole = {**schema, "components": self.document["components"]}
        jsonschema_rs.Draft202012Validator(whole, validate_formats=True).validate(value)


def keys(value: Any) -> Any:
    """What there is of objects in a JSON value: their keys, at their places."""
    match value:
        case dict():
            return {key: keys(member) for key, member in value.items()}
        case list():
            return [keys(member) for member in value]
    return None


@pytest.fixture(scope="module", params=[("upper", None), ("lower", "tasks")], ids=["usual", "otherwise"])
async def service(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Service]:
    configuration: tuple[PriorityCase, str | None] = request.param
    case, envelope = configuration
    settings = replace(settings, priority_case=case, list_envelope=envelope, max_batch_bytes=settings.max_body_bytes)
    async with AsyncExitStack() as stack:
        silent = stack.enter_context(socket.socket())
        silent.bind(("127.0.0.1", 0))  # and nobody listens
        nowhere = replace(
            settings,
            database_url=f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/none",
            database_timeout=0.1,
            database_cold_start_timeout=0.1,
        )
        app = await stack.enter_async_context(running(settings))
        away = await stack.enter_async_context(running(nowhere))
        limited = await stack.enter_async_context(running(replace(settings, rate_limit=Limit(1, 86_400))))
        full = await stack.enter_async_context(running(replace(settings, max_streams=0)))
        yield Service(app, settings, away=away, limited=limited, full=full)


async def test_every_answer_is_documented_and_every_documented_answer_is_given(service: Service) -> None:
    given: dict[str, set[str]] = {}
    for operation in service.operations:
        for cause in STREAM_CAUSES if operation == "streamEvents" else CAUSES:
            answer = await service.answer(operation, cause)
            try:
                service.check(operation, answer)
            except (AssertionError, jsonschema_rs.ValidationError, KeyError) as error:
                error.add_note(f"{operation}, when {cause}: {answer.status_code} {answer.text}")
                raise
            given.setdefault(operation, set()).add(str(answer.status_code))
    assert given == {name: set(responses) for name, (_, _, responses) in service.operations.items()}


async def test_answers_name_their_type_in_the_handlers(service: Service) -> None:
    data = [name for name, (_, path, _) in service.operations.items() if path.startswith("/api/")]
    data.remove("streamEvents")
    assert len(data) == 13
    for name in data:
        assert re.match(rf".*\b{JSONResponse.__name__}\[", str(service.types[name])), name


async def test_every_kind_of_task_and_account_fits_its_type(service: Service) -> None:
    user_id = random_user()
    async with client_of(service.app, service.settings, user_id) as client:
        service.check("getProfile", await client.get("/api/me"))
        service.check("getStats", await client.get("/api/me/stats"))
        service.check("listTasks", await client.get("/api/me/tasks"))
        for values in (
            PLAIN_TASK,
            TASK,
            {"title": "named", "uid": "named-by-its-client"},
            {"title": "\U0001f95b" * 200, "description": '\\ " \u2028 \x7f \t\n' * 100, "tags": "a, b"},
            {"title": "t", "due_date": "1900-01-01", "priority": "High", "tags": [str(n) * 25 for n in range(10, 30)]},
            {"title": "t", "due_date": "2026-12-01T10:00:00.5+05:45", "description": ""},
        ):
            created = await client.post("/api/me/tasks", json=values)
            service.check("createTask", created)
            service.check("getTask", await client.get(created.headers["location"]))
        page = await client.get("/api/me/tasks", params={"limit": 2})
        assert page.links["next"]["url"]
        service.check("listTasks", page)
        service.check("listTasks", await client.get("/api/me/tasks"))
        stats = await client.get("/api/me/stats")
        service.check("getStats", stats)
        service.check("getProfile", await client.get("/api/me"))
        high, low = ("high", "low") if service.settings.priority_case == "lower" else ("HIGH", "LOW")
        assert stats.json()["by_priority"][high] == 1
        assert stats.json()["by_priority"][low] == 1

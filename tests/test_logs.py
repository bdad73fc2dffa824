import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final, Literal

import httpx
import pytest
import structlog
from litestar import get

from app import logs
from app.auth.bearer import PUBLIC
from app.settings import Settings
from tests.conftest import client_of, running

TASKS = "/api/me/tasks"
AWAY: Final[dict[str, Any]] = {
    "database_url": "postgresql://u:pa55word@127.0.0.1:1/d",
    "database_timeout": 0.1,
    "database_cold_start_timeout": 0.1,
}
MEMBERS = {
    "method",
    "route",
    "status",
    "duration_ms",
    "bytes",
    "user_id",
    "request_id",
    "event",
    "level",
    "timestamp",
}


@pytest.fixture
async def json_client(settings: Settings, user_id: str) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        running(replace(settings, log_format="json", slow_query_ms=0)) as app,
        client_of(app, settings, user_id) as client,
    ):
        yield client


async def test_each_request_is_one_line_with_what_operators_need(
    json_client: httpx.AsyncClient, user_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    created = await json_client.post(TASKS, json={"title": "x"})
    [line] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert line.keys() == MEMBERS
    assert (line["method"], line["route"], line["status"]) == ("POST", "/api/{user_id}/tasks", 201)
    assert (line["user_id"], line["bytes"]) == (user_id, len(created.content))
    assert line["request_id"] == created.headers["x-request-id"]
    assert line["duration_ms"] > 0


@pytest.mark.parametrize(
    ("method", "path", "status", "route"),
    [
        ("GET", "/nowhere", 404, None),
        ("HEAD", TASKS, 200, "/api/{user_id}/tasks"),
        ("GET", "/api/x/tasks", 403, "/api/{user_id}/tasks"),
        ("GET", f"{TASKS}/1", 404, "/api/{user_id}/tasks/{task_id}"),
    ],
)
async def test_refused_requests_are_logged_too(
    json_client: httpx.AsyncClient,
    capsys: pytest.CaptureFixture[str],
    method: str,
    path: str,
    status: int,
    route: str | None,
) -> None:
    response = await json_client.request(method, path)
    [line] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (line["method"], line["status"], line["route"], line["bytes"]) == (
        method,
        status,
        route,
        len(response.content),
    )


@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_no_token_query_or_body_is_ever_logged(
    settings: Settings, user_id: str, capsys: pytest.CaptureFixture[str], log_format: Literal["json", "console"]
) -> None:
    chatty = replace(settings, log_format=log_format, log_level="debug", **AWAY)
    async with running(chatty) as app, client_of(app, settings, user_id) as client:
        await client.get(TASKS, params={"search": "s3cret-query"})
        await client.post(TASKS, json={"title": "s3cret-title"}, headers={"Cookie": "s3cret-cookie"})
        await client.post(TASKS, content=b"s3cret-junk", headers={"Content-Type": "application/json"})
        await client.get(TASKS, headers={"Authorization": "Bearer s3cret.s3cret.s3cret"})
        token = client.headers["authorization"].removeprefix("Bearer ")
    logged = capsys.readouterr()
    everything = logged.out + logged.err
    assert user_id in everything
    for secret in ("s3cret", "pa55word", token, token.split(".")[1], settings.better_auth_secret):
        assert secret not in everything


def test_what_libraries_log_is_in_the_same_form(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(replace(settings, log_format="json"))
    try:
        raise ValueError("inside a library")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("it broke")
    logging.getLogger("sqlalchemy.pool").info("chatter")
    line = json.loads(capsys.readouterr().out)
    assert (line["event"], line["level"]) == ("it broke", "error")
    assert "ValueError: inside a library" in line["exception"]


def test_uvicorn_writes_no_access_log_of_its_own(settings: Settings) -> None:
    logs.configure(settings)
    assert not logging.getLogger("uvicorn.access").hasHandlers()


def test_people_read_text_without_colours_when_it_goes_to_a_file(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(replace(settings, log_format="console"))
    logging.getLogger("uvicorn.error").info("started")
    line = capsys.readouterr().out
    assert "started" in line
    assert "\x1b" not in line


def test_the_level_is_the_configured_one(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(replace(settings, log_level="warning"))
    logging.getLogger("uvicorn.error").info("started")
    structlog.get_logger("app.access").info("request")
    assert capsys.readouterr().out == ""


async def test_access_lines_are_left_out_above_their_level_and_text_for_people(
    settings: Settings, user_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for changed, expected in (
        (replace(settings, log_level="warning"), 0),
        (replace(settings, log_format="console"), 1),
    ):
        async with running(changed) as app, client_of(app, changed, user_id) as client:
            capsys.readouterr()
            await client.get(TASKS)
        out = capsys.readouterr().out
        assert out.count("request ") == expected
        assert not out.startswith("{")


@get("/broken", opt=PUBLIC)
async def broken() -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("path", "level", "code"),
    [
        (TASKS, "warning", "database_unavailable"),
        ("/broken", "error", "internal_error"),
        ("/nowhere", "info", "not_found"),
        (f"{TASKS}/x", "info", "task_not_found"),
        ("/health", "info", None),
    ],
)
@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_the_line_of_a_failure_has_its_level_and_its_code(
    settings: Settings,
    user_id: str,
    capsys: pytest.CaptureFixture[str],
    log_format: Literal["json", "console"],
    path: str,
    level: str,
    code: str | None,
) -> None:
    away = replace(settings, log_format=log_format, **AWAY)
    async with running(away) as app, client_of(app, settings, user_id) as client:
        app.register(broken)
        await client.get(path)
    line = capsys.readouterr().out.splitlines()[-1]
    if log_format == "json":
        logged = json.loads(line)
        assert (logged["event"], logged["level"], logged.get("code")) == ("request", level, code)
    else:
        assert f"[{level}" in line
        assert (f"code={code}" in line) is (code is not None)


async def test_failures_are_logged_from_the_level_that_is_asked_for(
    settings: Settings, user_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    away = replace(settings, log_format="json", log_level="error", **AWAY)
    async with running(away) as app, client_of(app, settings, user_id) as client:
        app.register(broken)
        for path in ("/health", TASKS, "/broken"):
            await client.get(path)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["route"] for line in lines if line["event"] == "request"] == ["/broken"]

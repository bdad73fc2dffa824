"""What Sentry learns of an exception that nobody expected, and what it never learns."""

import json
import logging
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import structlog
from litestar import Litestar, get

from app import logs
from app.auth.bearer import PUBLIC
from app.settings import VERSION, Settings, SettingsError
from app.tasks.repository import TaskStore
from app.telemetry import ending, sentry
from app.telemetry.optional import Telemetry
from tests.conftest import client_of, running
from tests.telemetry.conftest import of_caller
from tests.telemetry.receivers import Receiver, receiving
from tests.test_logs import AWAY

TASKS = "/api/me/tasks"
KEY = "k3yofsentry"


def dsn(url: str) -> str:
    return f"{url.replace('://', f'://{KEY}@')}/42"


async def unexpected(_store: TaskStore, _user_id: str, values: Mapping[str, Any]) -> None:
    """Stands for a bug, in which what the client sent is at hand."""
    title = values["title"]
    try:
        raise KeyError(title)
    except KeyError as error:
        raise RuntimeError(f"no such thing: {title}") from error


@pytest.fixture
def sentry_server() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(params=[True, False], ids=["called directly", "through Litestar"])
async def reporting(
    settings: Settings, sentry_server: Receiver, request: pytest.FixtureRequest
) -> AsyncIterator[tuple[Litestar, Settings]]:
    """An application that reports, and traces for nobody."""
    changed = replace(
        settings,
        sentry_dsn=dsn(sentry_server.url),
        sentry_environment="tests",
        direct_dispatch=request.param,
        otel_exporter_otlp_endpoint=sentry_server.url,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
        patch.setattr(TaskStore, "create", unexpected)
        async with running(changed) as app:
            yield app, changed


async def test_an_unexpected_exception_is_reported_without_anything_that_a_client_sent(
    reporting: tuple[Litestar, Settings], sentry_server: Receiver, user_id: str, trace_id: str
) -> None:
    async with client_of(*reporting, user_id) as client:
        response = await client.post(
            f"{TASKS}?a=s3cret-query",
            json={"title": "s3cret-title"},
            headers={"Cookie": "s3cret-cookie", "User-Agent": "s3cret-agent", **of_caller(trace_id)},
        )
        assert response.status_code == 500
        token = client.headers["authorization"].removeprefix("Bearer ")
        [event] = sentry_server.wait_for(sentry_server.events)
    first, second = event["exception"]["values"]
    assert [(each["type"], each["value"]) for each in (first, second)] == [("KeyError", ""), ("RuntimeError", "")]
    assert second["stacktrace"]["frames"][-1]["function"] == "unexpected"
    assert not any("vars" in frame for each in (first, second) for frame in each["stacktrace"]["frames"])
    assert event["tags"] == {"request_id": response.json()["request_id"], "trace_id": trace_id}
    assert (event["environment"], event["release"]) == ("tests", f"litestar-tasks@{VERSION}")
    assert event.keys() <= sentry.KEPT
    [sent] = sentry_server.bodies
    for secret in ("s3cret", user_id, token, token.split(".")[1], "127.0.0.1", "Bearer"):
        assert secret.encode() not in sent
    assert sentry_server.paths == ["/api/42/envelope/"]
    assert f"sentry_key={KEY}" in sentry_server.headers[0]["x-sentry-auth"]


async def test_what_was_to_be_expected_is_not_reported(
    settings: Settings, sentry_server: Receiver, user_id: str
) -> None:
    away = replace(settings, sentry_dsn=dsn(sentry_server.url), **AWAY)
    async with running(away) as app, client_of(app, settings, user_id) as client:
        assert (await client.get(TASKS)).status_code == 503
        assert (await client.get("/nowhere")).status_code == 404
        assert (await client.post(TASKS, json={"title": 1})).status_code == 422
    assert not sentry_server.bodies


@get("/crashes", opt=PUBLIC)
async def crashes() -> None:
    raise ZeroDivisionError


async def test_a_server_that_never_answers_disturbs_neither_requests_nor_the_end(
    settings: Settings, user_id: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ending, "SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        away = replace(settings, sentry_dsn=dsn(f"http://127.0.0.1:{deaf.getsockname()[1]}"))
        async with running(away) as app, client_of(app, settings, user_id) as client:
            app.register(crashes)
            for _ in range(3):
                assert (await client.get("/crashes")).status_code == 500
    lines = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert lines == ["unhandled exception", "request"] * 3


@pytest.fixture
async def logging_to_sentry(settings: Settings, sentry_server: Receiver) -> AsyncIterator[Receiver]:
    telemetry = Telemetry(replace(settings, sentry_dsn=dsn(sentry_server.url)))
    logs.configure(replace(settings, log_format="json"), *telemetry.log_processors)
    yield sentry_server
    for close in telemetry.on_shutdown:
        await close()
    logs.configure(settings)


async def test_exceptions_in_any_form_are_reported_from_errors_up(logging_to_sentry: Receiver) -> None:
    logger = structlog.get_logger("app.test")
    error = ValueError("s3cret")
    try:
        raise error
    except ValueError:
        logger.exception("one")
        logging.getLogger("uvicorn.error").exception("two")
    logger.error("three", exc_info=error)
    logger.error("four", exc_info=(ValueError, error, error.__traceback__))
    logger.warning("not an error", exc_info=error)
    logger.error("no exception")
    logger.error("none at all", exc_info=(None, None, None))
    logger.error("not ours", exc_info=KeyboardInterrupt())
    logging_to_sentry.wait_for(lambda: len(logging_to_sentry.bodies) >= 4)
    assert [event["exception"]["values"][0]["type"] for event in logging_to_sentry.events()] == ["ValueError"] * 4


async def test_a_flood_is_reported_in_part_and_logged_as_a_whole(
    logging_to_sentry: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 1000.0
    monkeypatch.setattr(sentry, "monotonic", lambda: now)
    logger = structlog.get_logger("app.test")
    for _ in range(2):
        now += 1
        for _ in range(sentry.MOST_PER_SECOND + 5):
            logger.error("x", exc_info=ValueError())
    logging_to_sentry.wait_for(lambda: len(logging_to_sentry.bodies) >= 2 * sentry.MOST_PER_SECOND)
    assert len(logging_to_sentry.bodies) == 2 * sentry.MOST_PER_SECOND
    assert len(capsys.readouterr().out.splitlines()) == 2 * (sentry.MOST_PER_SECOND + 5)


async def test_a_report_that_fails_leaves_the_line_as_it_is(
    logging_to_sentry: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise TypeError("inside the SDK")

    monkeypatch.setattr(sentry, "event_from_exception", fail)
    structlog.get_logger("app.test").error("x", exc_info=ValueError())
    assert json.loads(capsys.readouterr().out)["event"] == "x"
    assert not logging_to_sentry.bodies


def test_a_dsn_that_sentry_does_not_take_is_one_sentence(settings: Settings) -> None:
    with pytest.raises(SettingsError, match=r"^SENTRY_DSN is not usable"):
        Telemetry(replace(settings, sentry_dsn="https://key@host:99999999/1"))

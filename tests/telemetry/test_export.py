"""Traces leave the process by themselves, and nothing waits for whoever takes them."""

import hashlib
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from http.client import HTTPConnection
from io import StringIO
from pathlib import Path

import pytest
from dotenv import dotenv_values
from structlog.testing import capture_logs

from app.auth.mint import mint
from app.settings import Settings, SettingsError
from app.telemetry import complaints, ending, requests
from app.telemetry.optional import Telemetry
from tests.conftest import SENSITIVE, client_of, random_user, running
from tests.documents.blocks import the_block
from tests.processes import Server, copied_project, environment
from tests.telemetry.conftest import access_line, new_trace_id, of_caller
from tests.telemetry.receivers import Receiver, receiving

TASKS = "/api/me/tasks"
SECRET = hashlib.sha256(b"of these tests").hexdigest()
REQUESTS = 40


@pytest.fixture
def patch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sends what there is at once; what was given up on the way has ended before the next test, which hears of it."""
    before = {*threading.enumerate()}
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "30")
    yield
    for thread in {*threading.enumerate()} - before:
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture
def folder() -> Iterator[Path]:
    with copied_project() as folder:
        yield folder


def patient(folder: Path) -> None:
    """Let the workers of a copy of the project send what they have for as long as it takes."""
    file = folder / "app" / "telemetry" / "ending.py"
    text = file.read_text()
    file.write_text(text.replace(f"SECONDS: Final = {ending.SECONDS}\n", "SECONDS: Final = 20.0\n"))
    assert file.read_text() != text


def test_four_workers_send_what_each_of_them_did(settings: Settings, folder: Path) -> None:
    patient(folder)
    token = mint(settings, random_user(), 3600)
    SENSITIVE.add(token)
    (folder / ".env").write_text("OTEL_SERVICE_NAME=of a file\nOTEL_EXPORTER_OTLP_HEADERS=api-key=k3y\n")
    traces = [new_trace_id() for _ in range(REQUESTS)]
    with receiving() as collector:
        server = Server(
            folder,
            workers=4,
            DATABASE_URL=settings.database_url,
            BETTER_AUTH_SECRET=settings.better_auth_secret,
            OTEL_EXPORTER_OTLP_ENDPOINT=f"{collector.url}/base/",
            OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
            OTEL_BSP_SCHEDULE_DELAY="600000",  # so that it is the end that sends
            OTEL_TRACES_SAMPLER="parentbased_always_off",
            OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test",
            RATE_LIMIT="off",
            SHUTDOWN_DELAY="0",
            SHUTDOWN_TIMEOUT="30",
        ).serving()

        def ask(trace: str) -> int:
            connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
            connection.request("GET", TASKS, headers={"Authorization": f"Bearer {token}", **of_caller(trace)})
            with closing(connection), connection.getresponse() as response:
                return response.status

        with ThreadPoolExecutor(16) as pool:
            assert [*pool.map(ask, [*traces, new_trace_id()[:-1]])] == [200] * (REQUESTS + 1)  # the last id is none
        server.terminate()
        assert {received.span.trace_id.hex() for received in collector.spans()} == {*traces}
        for trace in traces:
            names = [received.name for received in collector.spans(trace)]
            assert (names[0], names[-1]) == ("GET /api/{user_id}/tasks", "tasks.list")
        resources = [received.resource for received in collector.spans()]
        assert {(each["service.name"], each["deployment.environment.name"]) for each in resources} == {
            ("of a file", "test")
        }
        assert {*collector.paths} == {"/base/v1/traces"}
        assert {headers["api-key"] for headers in collector.headers} == {"k3y"}
        assert "k3y" not in server.output
        assert all(f'"trace_id":"{trace}"' in server.output for trace in traces)
        assert "not exported" not in server.output


@pytest.mark.usefixtures("patch")
async def test_a_collector_that_is_away_disturbs_neither_requests_nor_the_end(
    settings: Settings, user_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # it takes connections, and never answers
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/s3cret-key"
        away = replace(settings, otel_exporter_otlp_endpoint=url)
        async with running(away) as app, client_of(app, settings, user_id) as client:
            for _ in range(5):
                assert (await client.get(TASKS)).status_code == 200
    written = capsys.readouterr().out
    assert written.count("the collector did not take the last traces in time") == 1
    assert "s3cret-key" not in written


@pytest.mark.usefixtures("patch")
async def test_a_collector_that_refuses_is_worth_one_line(
    settings: Settings, user_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/s3cret-key"
    away = replace(settings, otel_exporter_otlp_traces_endpoint=url)
    written = ""
    async with running(away) as app, client_of(app, settings, user_id) as client:
        while "traces are not exported" not in written:
            assert (await client.get(TASKS)).status_code == 200
            written += capsys.readouterr().out
    written += capsys.readouterr().out
    assert written.count("traces are not exported") == 1
    assert "ConnectionError" in written
    assert "s3cret-key" not in written


async def test_the_path_of_the_variable_for_traces_is_taken_as_it_is(
    settings: Settings, user_id: str, collector: Receiver
) -> None:
    there = replace(settings, otel_exporter_otlp_traces_endpoint=f"{collector.url}/here")
    async with running(there) as app, client_of(app, settings, user_id) as client:
        await client.get(TASKS)
    assert "/here" in collector.paths


@pytest.mark.parametrize(
    ("variable", "text"),
    [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_SDK_DISABLED", "TRUE")],
)
def test_traces_can_be_off_with_an_address(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, variable: str, text: str
) -> None:
    monkeypatch.setenv(variable, text)
    off = Telemetry(replace(settings, otel_exporter_otlp_endpoint="http://collector:4318"))
    assert (off.begin, off.observers, off.on_startup, off.on_shutdown) == (None, [], [], [])


@pytest.mark.parametrize(
    ("variable", "text", "named"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin", "OTEL_TRACES_EXPORTER"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"),
    ],
)
def test_what_is_not_spoken_is_one_sentence(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, variable: str, text: str, named: str
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(SettingsError, match=named):
        Telemetry(replace(settings, otel_exporter_otlp_endpoint="http://collector:4318"))


def test_the_protocol_for_traces_has_precedence(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    assert Telemetry(replace(settings, otel_exporter_otlp_endpoint="http://collector:4318")).begin


def test_the_documented_variables_trace_one_request_in_a_hundred(monkeypatch: pytest.MonkeyPatch) -> None:
    given = dotenv_values(stream=StringIO(the_block("docs/operations.md", "ini", "OTEL_TRACES_SAMPLER")))
    for name, text in given.items():
        monkeypatch.setenv(name, text or "")
    settings = Settings.from_env({"DATABASE_URL": "postgresql://localhost/none", "BETTER_AUTH_SECRET": SECRET, **given})
    begin = Telemetry(settings).begin
    assert begin
    scope = {"method": "GET", "scheme": "http", "http_version": "1.1", "headers": []}
    for drawn, sampled in ((2**64 // 100 - 1, True), (2**64 // 100 + 1000, False)):
        monkeypatch.setattr(requests, "getrandbits", lambda _bits, drawn=drawn: drawn)
        line = access_line()
        begin(scope, print)(line)
        assert bool(line.trace_id) is sampled


def python(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=environment(
            DATABASE_URL="postgresql://localhost/none", BETTER_AUTH_SECRET=os.urandom(20).hex(), **variables
        ),
        capture_output=True,
        text=True,
        check=False,
    )


def test_nothing_of_it_is_imported_where_no_variable_asks_for_it() -> None:
    """But for OpenTelemetry's interface, which Litestar takes along where it is installed."""
    unwanted = {"google.protobuf", "opentelemetry.exporter", "opentelemetry.sdk", "requests", "sentry_sdk", "urllib3"}
    done = python(
        "import sys, app.server; from app.asgi import create_app; create_app()\n"
        f"sys.exit(', '.join({unwanted} & sys.modules.keys()) or 0)"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_propagator_that_is_not_there_is_one_sentence() -> None:
    endpoint = "http://collector:4318"
    code = "from app.asgi import create_app; create_app()"
    done = python(code, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_PROPAGATORS="pigeon")
    assert done.returncode == 1
    assert done.stderr.startswith("A variable of OpenTelemetry is not usable: Propagator pigeon not found.")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("variable", "text", "group"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318", "traces"),
        ("SENTRY_DSN", "https://key@sentry.example.org/1", "sentry"),
    ],
)
def test_a_missing_package_is_one_sentence_that_says_how_to_install_it(variable: str, text: str, group: str) -> None:
    done = python(
        "import sys\nsys.modules.update({'opentelemetry': None, 'sentry_sdk': None})\n"
        "from app.asgi import create_app; create_app()",
        **{variable: text},
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"{variable} is set, but the packages for it are not installed: ")
    assert f"`pip install --group {group}`" in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_the_packages_log_is_counted_between_two_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(complaints, "monotonic", lambda: now)
    complaints.listen()
    theirs = logging.getLogger("opentelemetry.exporter.anything")
    with capture_logs() as lines:
        theirs.error("Failed to export %s batch code: %s, reason: %s", "spans", None, OSError("s3cret"))
        for _ in range(3):
            theirs.warning("Queue full, dropping %s.", "Span")
        theirs.info("chatter")
        now += complaints.SECONDS
        try:
            raise ValueError("s3cret")
        except ValueError:
            theirs.exception("Exception while exporting")
    assert [(line["reason"], line["left_out"]) for line in lines] == [
        ("Failed to export spans batch code: None, reason: OSError", 0),
        ("Exception while exporting (ValueError)", 3),
    ]
    complaints.listen()

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest
from litestar import Litestar, get
from litestar.response import Response

from app.auth.bearer import PUBLIC
from app.http.outermost import Outermost
from app.settings import Settings
from tests.conftest import ORIGIN, running

TASKS = "/api/me/tasks"
PROBLEM = "application/problem+json"
MEMBERS = {"type", "title", "status", "detail", "message", "code", "errors", "request_id"}


async def assert_problem(response: httpx.Response, status: int, code: str) -> None:
    problem = response.json()
    assert (response.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert response.headers["content-type"] == PROBLEM
    assert problem.keys() == MEMBERS
    assert isinstance(problem["detail"], str)
    assert problem["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/api", 404, "not_found"),
        ("GET", "/api/me/tasks/1/2/3", 404, "not_found"),
        ("GET", "/docs/nothing", 404, "not_found"),
        ("GET", "/docs/assets/nothing.js", 404, "not_found"),
        ("GET", "/docs/assets/../../app/settings.py", 404, "not_found"),
        ("DELETE", TASKS, 405, "method_not_allowed"),
        ("POST", "/health", 405, "method_not_allowed"),
        ("TRACE", TASKS, 405, "method_not_allowed"),
        ("BREW", "/", 405, "method_not_allowed"),
        ("GET", f"{TASKS}/1", 404, "task_not_found"),
        ("GET", "/api/x/tasks", 403, "forbidden"),
    ],
)
async def test_every_layer_answers_errors_with_one_body(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    await assert_problem(await client.request(method, path), status, code)


async def test_errors_do_not_echo_what_was_sent(client: httpx.AsyncClient) -> None:
    for path in ("/nowhere?secret=1", f"{TASKS}?limit=s3cret", f"{TASKS}/s3cret?a=s3cret"):
        assert "s3cret" not in (await client.get(path)).text


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (TASKS, "GET, HEAD, OPTIONS, POST"),
        (f"{TASKS}/1", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        (f"{TASKS}/1/complete", "OPTIONS, PATCH"),
        ("/api/me", "DELETE, GET, HEAD, OPTIONS"),
        ("/health", "GET, HEAD, OPTIONS"),
    ],
)
async def test_options_and_405_tell_what_is_allowed(
    client: httpx.AsyncClient, anonymous: httpx.AsyncClient, path: str, allowed: str
) -> None:
    options = await anonymous.options(path)
    assert (options.status_code, options.headers["allow"], options.content) == (204, allowed, b"")
    refused = await client.request("TRACE", path)
    assert (refused.status_code, refused.headers["allow"]) == (405, allowed)


async def test_head_is_get_without_the_body(client: httpx.AsyncClient) -> None:
    task = (await client.post(TASKS, json={"title": "x"})).json()
    volatile = {"x-request-id", "ratelimit"}
    for path in (TASKS, f"{TASKS}/{task['id']}", "/api/me", "/health", "/openapi.json", "/nowhere", f"{TASKS}/0"):
        full, head = await client.get(path), await client.head(path)
        assert (head.status_code, head.content) == (full.status_code, b"")
        assert {k: v for k, v in head.headers.items() if k not in volatile} == {
            k: v for k, v in full.headers.items() if k not in volatile
        }
    assert (await client.head(f"{TASKS}/{task['id']}/complete")).status_code == 405


@pytest.mark.parametrize(
    "path", [TASKS, "/api/me", "/api/me/stats", "/health", "/ready", "/", "/docs", "/openapi.json"]
)
async def test_a_trailing_slash_is_answered_directly(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == (await client.get(path.rstrip("/") + "/")).status_code == 200


async def test_every_answer_has_an_id_and_the_security_headers(client: httpx.AsyncClient) -> None:
    for path in (TASKS, "/", "/health", "/nowhere", "/api/x/tasks", "/docs", "/openapi.json"):
        headers = (await client.get(path)).headers
        assert len(headers["x-request-id"]) == 16
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "server" not in headers


async def test_data_may_be_kept_by_its_user_only_and_errors_by_nobody(client: httpx.AsyncClient) -> None:
    for path in (TASKS, "/api/me", "/api/me/stats"):
        headers = (await client.get(path)).headers
        assert headers["cache-control"] == "private, no-cache"
        assert "Authorization" in headers["vary"]
    tag = (await client.get(TASKS)).headers["etag"]
    unchanged = await client.get(TASKS, headers={"If-None-Match": tag})
    assert (unchanged.status_code, unchanged.headers["cache-control"]) == (304, "private, no-cache")
    assert (await client.get(f"{TASKS}/1")).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("given", "kept"),
    [("abc-1.2_X", True), ("a" * 128, True), ("a" * 129, False), ("a b", False), ("", False), ('"; x', False)],
)
async def test_a_request_id_is_taken_over_if_it_is_harmless(client: httpx.AsyncClient, given: str, kept: bool) -> None:
    response = await client.get("/health", headers={"X-Request-Id": given})
    assert (response.headers["x-request-id"] == given) is kept


async def test_probes_and_the_service_page_need_no_token(anonymous: httpx.AsyncClient) -> None:
    service = (await anonymous.get("/")).json()
    assert service.keys() == {"name", "version", "docs"}
    assert (await anonymous.get("/health")).json() == {"status": "healthy"}
    assert (await anonymous.get("/ready")).json() == {"status": "ready"}


async def test_a_configured_origin_may_read_answers_errors_and_their_headers(anonymous: httpx.AsyncClient) -> None:
    for path in (TASKS, "/health", "/nowhere"):
        headers = (await anonymous.get(path, headers={"Origin": ORIGIN})).headers
        assert headers["access-control-allow-origin"] == ORIGIN
        assert headers["access-control-allow-credentials"] == "true"
        exposed = headers["access-control-expose-headers"].lower()
        assert all(name in exposed for name in ("etag", "link", "location", "retry-after"))
        assert "origin" in ", ".join(headers.get_list("vary")).lower()


async def test_another_origin_is_not_let_in(anonymous: httpx.AsyncClient) -> None:
    origin = "https://evil.example.net"
    assert "access-control-allow-origin" not in (await anonymous.get(TASKS, headers={"Origin": origin})).headers
    preflight = await anonymous.options(TASKS, headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
    await assert_problem(preflight, 403, "origin_not_allowed")
    assert "access-control-allow-origin" not in preflight.headers


async def test_a_preflight_is_answered_without_a_token(anonymous: httpx.AsyncClient) -> None:
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization, content-type, if-match, x-request-id",
    }
    response = await anonymous.options(f"{TASKS}/1", headers=asked)
    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert "if-match" in response.headers["access-control-allow-headers"].lower()


async def test_any_origin_means_no_credentials(settings: Settings) -> None:
    async with running(replace(settings, cors_origins=("*",))) as app:
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]  # Litestar's scopes are TypedDicts
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            for cookies in ({}, {"Cookie": "a=b"}):
                headers = (await client.get("/health", headers={"Origin": ORIGIN, **cookies})).headers
                assert headers.get("access-control-allow-credentials") != "true"


@get("/broken", opt=PUBLIC)
async def broken() -> None:
    raise RuntimeError("s3cret detail")


@get("/plain", opt=PUBLIC)
async def plain() -> Response[str]:
    return Response("another form", status_code=418, media_type="text/plain")


@pytest.fixture
async def faulty(settings: Settings) -> Any:
    async with running(settings) as app:
        app.register(broken)
        app.register(plain)
        yield app


async def test_a_bug_is_logged_once_with_its_id_and_told_to_nobody(
    faulty: Litestar, capsys: pytest.CaptureFixture[str]
) -> None:
    transport = httpx.ASGITransport(faulty)  # type: ignore[arg-type]  # Litestar's scopes are TypedDicts
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        response = await client.get("/broken")
    await assert_problem(response, 500, "internal_error")
    assert "s3cret" not in response.text
    logged = capsys.readouterr().out
    assert logged.count("RuntimeError: s3cret detail") == 1
    assert logged.count("Traceback") == 1
    assert logged.count(response.headers["x-request-id"]) == 2


async def test_an_error_in_another_form_is_turned_into_a_problem(faulty: Litestar) -> None:
    transport = httpx.ASGITransport(faulty)  # type: ignore[arg-type]  # Litestar's scopes are TypedDicts
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        response = await client.get("/plain")
        head = await client.head("/plain")
    assert "another form" not in response.text
    assert response.json()["status"] == 418
    assert (head.status_code, head.content) == (418, b"")
    assert head.headers["content-length"] == response.headers["content-length"]


@pytest.mark.usefixtures("app")
async def test_a_bug_outside_the_framework_is_a_problem_too(capsys: pytest.CaptureFixture[str]) -> None:
    async def bug(*_: Any) -> None:
        raise RuntimeError("outermost")

    transport = httpx.ASGITransport(Outermost(bug, methods={}, draining=lambda: False, log=lambda _: None))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        await assert_problem(await client.get("/"), 500, "internal_error")
    assert capsys.readouterr().out.count("RuntimeError: outermost") == 1


async def test_a_request_that_the_server_gives_up_at_its_end_is_a_problem_too() -> None:
    async def endless(*_: Any) -> None:
        await asyncio.Event().wait()

    transport = httpx.ASGITransport(Outermost(endless, methods={}, draining=lambda: False, log=lambda _: None))
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        request = asyncio.create_task(client.get("/"))
        await asyncio.sleep(0)
        request.cancel()
        answer = await request
    await assert_problem(answer, 503, "shutting_down")
    assert answer.headers["retry-after"] == "1"


async def test_a_process_that_ends_is_not_ready_and_closes_each_connection_with_its_answer(
    app: Litestar, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "connection" not in (await client.get(TASKS)).headers
    monkeypatch.setattr(app.state.lifecycle, "draining", True)
    answer = await client.get("/ready")
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "shutting_down", "1")
    for path in (TASKS, "/health"):
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")

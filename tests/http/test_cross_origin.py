"""What a browser of another origin is told, on the real server over a socket; a real one is in test_browser.py."""

import http.client
import json
import secrets
import socket
from collections.abc import Iterator
from dataclasses import replace
from email.message import Message
from typing import Any, Final

import httpx
import pytest

from app.auth.mint import mint
from app.docs import assets
from app.http import cross_origin
from app.http.cross_origin import CrossOrigin
from app.origins import Origins
from app.settings import Settings
from tests.conftest import client_of, random_user, running
from tests.processes import Server, copied_project, until

EXPOSED = "ETag, Idempotent-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id"
TASKS: Final = "/api/me/tasks"
EXACT: Final = "https://app.example.org"
BELOW: Final = "https://preview-7.example.com"
FOREIGN: Final = "https://evil-example.com"
OF_PROTOCOL: Final = "access-control-"
PREFLIGHT: Final = {
    "Access-Control-Request-Method": "PATCH",
    "Access-Control-Request-Headers": "authorization,content-type,if-match,x-requested-with",
}


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Server]:
    with copied_project() as folder:
        yield Server(
            folder,
            DATABASE_URL=settings.database_url,
            BETTER_AUTH_SECRET=settings.better_auth_secret,
            CORS_ORIGINS=f"{EXACT}, https://*.example.com",
            LOG_FORMAT="json",
        ).serving()


@pytest.fixture
def client(server: Server, settings: Settings) -> Iterator[httpx.Client]:
    token = mint(settings, random_user(), 3600)
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {token}"}) as client:
        yield client


def of_protocol(headers: httpx.Headers | Message) -> dict[str, str]:
    """The headers of the CORS protocol."""
    return {name.lower(): value for name, value in headers.items() if name.lower().startswith(OF_PROTOCOL)}


def varying(headers: httpx.Headers) -> list[str]:
    return [name.strip() for name in headers.get("vary", "").split(",")]


def refusals(server: Server) -> list[dict[str, Any]]:
    """The lines of the log about origins."""
    return [json.loads(line) for line in server.output.splitlines() if "origin refused" in line]


def test_an_origin_of_the_list_may_read_everything_with_credentials(client: httpx.Client) -> None:
    for method, path, status in (
        *(("POST", TASKS, 201), ("GET", TASKS, 200), ("GET", f"{TASKS}/{2**62}", 404), ("GET", "/nowhere", 404)),
        *(("GET", "/health", 200), ("GET", "/openapi.json", 200), ("HEAD", TASKS, 200), ("PUT", TASKS, 405)),
    ):
        body = {"title": "One"} if method == "POST" else None
        answer = client.request(method, path, json=body, headers={"Origin": EXACT})
        assert answer.status_code == status
        assert of_protocol(answer.headers) == {
            "access-control-allow-origin": EXACT,
            "access-control-allow-credentials": "true",
            "access-control-expose-headers": EXPOSED,
        }
        assert varying(answer.headers).count("Origin") == 1


def test_one_below_a_wildcard_may_too_but_never_with_credentials(client: httpx.Client) -> None:
    assert of_protocol(client.get(TASKS, headers={"Origin": BELOW, "Cookie": "a=b"}).headers) == {
        "access-control-allow-origin": BELOW,
        "access-control-expose-headers": EXPOSED,
    }
    preflight = client.options(TASKS, headers={"Origin": BELOW, **PREFLIGHT})
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == BELOW
    assert "access-control-allow-credentials" not in preflight.headers


@pytest.mark.parametrize("path", [TASKS, f"{TASKS}/1", "/health", "/nowhere", "/docs"])
def test_a_preflight_needs_no_token_and_is_kept_for_two_hours(server: Server, path: str) -> None:
    answer = httpx.options(f"{server.url}{path}", headers={"Origin": EXACT, **PREFLIGHT})
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == EXACT
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-max-age"] == "7200"
    assert {"PATCH", "PUT", "DELETE", "POST"} <= set(answer.headers["access-control-allow-methods"].split(", "))
    allowed = answer.headers["access-control-allow-headers"].split(", ")
    assert {"authorization", "content-type", "if-match", "if-none-match", "x-requested-with"} <= set(allowed)
    assert len(allowed) == len(set(allowed))
    assert "Origin" in varying(answer.headers)


def test_odd_names_of_headers_are_not_repeated(server: Server) -> None:
    asked = "x-a, *, x b, X-Sent-By, , é, x-c;q=1, " + "y" * 65
    headers = {"Origin": EXACT, **PREFLIGHT, "Access-Control-Request-Headers": asked}
    answer = httpx.options(f"{server.url}{TASKS}", headers=httpx.Headers(headers, encoding="latin-1"))
    assert answer.headers["access-control-allow-headers"].split(", ")[-2:] == ["x-a", "x-sent-by"]


def test_options_without_a_method_is_no_preflight(client: httpx.Client) -> None:
    for origin in (EXACT, FOREIGN):
        answer = client.options(TASKS, headers={"Origin": origin})
        assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
        assert ("access-control-allow-origin" in answer.headers) is (origin == EXACT)


@pytest.mark.parametrize(
    "origin",
    [
        *(FOREIGN, "https://a.b.example.com", "https://example.com", "http://app.example.org", f"{EXACT}:8443"),
        *(f"{EXACT}.", "HTTPS://APP.EXAMPLE.ORG", f"{EXACT}, {EXACT}", "null", "https://müller.example.com"),
        *("*", "x" * 2000, "http://localhost:3000"),
    ],
)  # fmt: skip
def test_any_other_origin_learns_nothing_and_its_request_is_answered_all_the_same(
    client: httpx.Client, origin: str
) -> None:
    headers = httpx.Headers({"Origin": origin}, encoding="latin-1")
    simple = client.get(TASKS, headers=headers)
    assert (simple.status_code, simple.json(), of_protocol(simple.headers)) == (200, [], {})
    assert "Origin" in varying(simple.headers)
    headers["Access-Control-Request-Method"] = "POST"
    refused = client.options(TASKS, headers=headers)
    assert (refused.status_code, of_protocol(refused.headers)) == (403, {})
    assert refused.headers["content-type"] == "application/problem+json"
    assert "Origin" in varying(refused.headers)
    problem = refused.json()
    assert (problem["code"], problem["status"]) == ("origin_not_allowed", 403)
    assert "CORS_ORIGINS" in problem["detail"]
    assert problem["request_id"] == refused.headers["x-request-id"]


def test_the_refusal_names_the_origin_and_the_setting(server: Server) -> None:
    asked = {"Origin": "http://localhost:4321", "Access-Control-Request-Method": "POST"}
    assert httpx.options(f"{server.url}{TASKS}", headers=asked).json()["detail"] == (
        "Pages of http://localhost:4321 may not call this API; "
        "if they should, add this origin to the server's setting CORS_ORIGINS"
    )
    assert (
        "serve the page over HTTP"
        in httpx.options(f"{server.url}{TASKS}", headers={**asked, "Origin": "null"}).json()["detail"]
    )


@pytest.mark.parametrize(
    "lines",
    [
        [f"Origin: {EXACT}", f"Origin: {EXACT}"],
        [f"Origin: {FOREIGN}", f"Origin: {EXACT}"],
        [f"Origin: {EXACT}", f"Origin: {FOREIGN}"],
        [f"Origin: {EXACT}\tx"],
        ["Origin:"],
    ],
)
def test_several_origins_are_nobodys(server: Server, lines: list[str]) -> None:
    assert of_protocol(raw(server, "GET", lines)[1]) == {}
    status, headers = raw(server, "OPTIONS", [*lines, "Access-Control-Request-Method: POST"])
    assert (status, of_protocol(headers)) == (403, {})


@pytest.mark.parametrize("line", [f"Origin: {FOREIGN}\r\n {EXACT}", f"Origin: {EXACT}\rX: y", f"Origin: {EXACT}\x00"])
def test_no_trick_with_lines_brings_a_foreign_origin_in_or_splits_an_answer(server: Server, line: str) -> None:
    status, headers = raw(server, "GET", [line])
    assert status in {200, 400}
    assert headers.get("X") is None
    assert headers.get("access-control-allow-origin") in {None, EXACT}


def raw(server: Server, method: str, lines: list[str]) -> tuple[int, Message]:
    """Send a request for /health exactly as it stands here."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        head = [f"{method} /health HTTP/1.1", "Host: localhost", *lines, "Connection: close"]
        connection.sendall("\r\n".join([*head, "", ""]).encode("latin-1"))
        answer = http.client.HTTPResponse(connection, method=method)
        answer.begin()
        answer.read()
        return answer.status, answer.headers


def test_a_refused_origin_is_logged_once_with_the_setting_to_change(server: Server, client: httpx.Client) -> None:
    origin = f"https://{secrets.token_hex(8)}.example.net"
    for _ in range(3):
        client.get(TASKS, headers={"Origin": origin})
        client.options(TASKS, headers={"Origin": origin, **PREFLIGHT})
    client.get(TASKS, headers={"Origin": EXACT})
    client.get("/health")
    until(lambda: any(line["origin"] == origin for line in refusals(server)))
    [line] = [line for line in refusals(server) if line["origin"] == origin]
    assert line["level"] == "warning"
    assert "CORS_ORIGINS" in line["detail"]
    assert not [line for line in refusals(server) if line["origin"] in {EXACT, BELOW}]


def test_pages_of_our_own_are_not_logged(server: Server, client: httpx.Client) -> None:
    own = f"https://{secrets.token_hex(8)}.example.net"
    client.post(TASKS, json={"title": "One"}, headers={"Origin": server.url})
    client.post(TASKS, json={"title": "One"}, headers={"Origin": own, "Sec-Fetch-Site": "same-origin"})  # by a proxy
    client.get("/health")
    assert not [line for line in refusals(server) if line["origin"] in {server.url, own}]


def test_nobody_can_fill_the_log_or_the_memory(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cross_origin, "LOGGED", 3)
    layer = CrossOrigin(Origins([EXACT]))
    for number in range(50):
        for value in (f"https://{number}.example", f"\r\n{number}", f"https://{'x' * 400}{number}.example", "null"):
            scope = {"method": "OPTIONS", "headers": [(b"origin", value.encode())]}
            assert layer.headers(scope) == []
    logged = [line for line in capsys.readouterr().out.splitlines() if line]
    assert [line.count("origin refused") for line in logged] == [1, 1, 1, 0]
    assert "further refused origins are not logged" in logged[-1]
    assert len(vars(layer)["_refused"]) == 3


async def test_answers_that_a_cache_may_keep_vary_by_origin_where_any_has_permission(settings: Settings) -> None:
    for origins, varies in (((EXACT,), True), (("*",), True), ((), False)):
        own = replace(settings, cors_origins=origins)
        async with running(own) as app, client_of(app, own, random_user()) as client:
            asset = f"/docs/assets/{assets.version()}/page.css"
            for path in ("/", "/health", "/openapi.json", "/docs", asset, "/docs/start.js"):
                assert ("Origin" in varying((await client.get(path)).headers)) is varies, path


async def test_any_origin_is_any_origin(settings: Settings) -> None:
    own = replace(settings, cors_origins=("*",))
    async with running(own) as app, client_of(app, own, random_user()) as client:
        for origin in (EXACT, "null", "\xff"):
            for more in ({}, {"Cookie": "a=b"}, PREFLIGHT):
                headers = httpx.Headers({"Origin": origin, **more}, encoding="latin-1")
                answer = await client.request("OPTIONS" if more is PREFLIGHT else "GET", TASKS, headers=headers)
                assert answer.status_code == (204 if more is PREFLIGHT else 200)
                assert answer.headers["access-control-allow-origin"] == "*"
                assert "access-control-allow-credentials" not in answer.headers
                if more is PREFLIGHT:
                    assert "authorization" in answer.headers["access-control-allow-headers"]

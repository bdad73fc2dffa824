"""A page of another origin in Chromium, against `litestar run` as a developer starts it."""

import json
import re
import threading
from collections.abc import AsyncIterator, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import pytest
from playwright.async_api import BrowserContext, Page, async_playwright

from app.auth.mint import mint
from app.settings import Settings
from tests.chromium import CHROMIUM, FLAGS, needs_chromium
from tests.conftest import random_user
from tests.processes import Server, copied_project, until

ELSEWHERE: Final = "elsewhere.test"
"""A name that the browser takes for this machine; by it a page is of no loopback origin."""

SCRIPT: Final = """async ([api, token, credentials]) => {
  const call = (path, method, body, headers) => fetch(api + path, {
    method, credentials, body: body && JSON.stringify(body),
    headers: {Authorization: `Bearer ${token}`, "Content-Type": "application/json", ...headers},
  });
  const made = [];
  for (const title of ["One", "Two"]) made.push(await (await call("/api/me/tasks", "POST", {title})).json());
  const list = await call("/api/me/tasks?limit=1", "GET");
  const path = `/api/me/tasks/${made[0].id}`;
  const task = await call(path, "GET");
  const patched = await call(path, "PATCH", {completed: true}, {"If-Match": task.headers.get("ETag")});
  const stale = await call(path, "PATCH", {completed: false}, {"If-Match": task.headers.get("ETag")});
  return {
    list: [list.status, list.headers.get("ETag"), list.headers.get("Link"), (await list.json()).length],
    task: [task.status, task.headers.get("ETag")],
    patched: [patched.status, (await patched.json()).completed],
    stale: [stale.status, (await stale.json()).code, stale.headers.get("X-Request-Id")],
  };
}"""


METHODS: Final = """async ([api, token]) => {
  const headers = {Authorization: `Bearer ${token}`, "Content-Type": "application/json"};
  const answers = [await fetch(api + "/api/me/tasks", {method: "POST", headers, body: '{"title": "One"}'})];
  const { id } = await answers[0].clone().json();
  for (const [path, method, body] of [
    ["", "GET"], [`/${id}`, "PATCH", '{"title": "Two"}'], [`/${id}`, "GET"], [`/${id}`, "DELETE"],
  ]) answers.push(await fetch(`${api}/api/me/tasks${path}`, {method, headers, body}));
  return answers.map((answer) => answer.status);
}"""


READING: Final = """async ([api, token, own]) => {
  const headers = {Authorization: `Bearer ${token}`};
  const read = async (more) => {
    const answer = await fetch(api + "/api/me/tasks?limit=7", {headers: {...headers, ...more}});
    return [answer.status, answer.headers.get("ETag")];
  };
  const first = await read();
  return [first, await read(), own ? await read({"If-None-Match": first[1]}) : null];
}"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a word."""

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def api() -> Iterator[Server]:
    with copied_project() as folder:
        yield Server(folder).serving()


@pytest.fixture(scope="module")
def token(api: Server) -> str:
    secret = (api.folder / ".dev" / "secret").read_text()
    return mint(Settings(database_url="", better_auth_secret=secret), random_user(), 3600)


@pytest.fixture(scope="module")
def frontend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server that knows nothing of the API."""
    folder = tmp_path_factory.mktemp("frontend")
    (folder / "index.html").write_text("<!doctype html><title>Frontend</title>")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[BrowserContext]:
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"),
            executable_path=CHROMIUM,
            args=[*FLAGS, f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1"],
        )
        yield context
        await context.close()


@pytest.fixture
async def page(browser: BrowserContext) -> AsyncIterator[Page]:
    page = await browser.new_page()
    yield page
    await page.close()


@needs_chromium
@pytest.mark.parametrize(("host", "credentials"), [("localhost", "include"), ("shop.localhost", "same-origin")])
async def test_a_page_on_another_port_uses_the_whole_api(
    api: Server, token: str, frontend: int, page: Page, host: str, credentials: str
) -> None:
    await page.goto(f"http://{host}:{frontend}/")
    seen = await page.evaluate(SCRIPT, [api.url, token, credentials])
    status, etag, link, length = seen["list"]
    assert (status, length) == (200, 1)
    assert etag.strip('W/"').isdecimal()
    assert link.endswith('; rel="next"')
    assert seen["task"][0] == 200
    assert seen["task"][1].strip('"').isdecimal()
    assert seen["patched"] == [200, True]
    assert seen["stale"][:2] == [412, "stale_revision"]
    assert seen["stale"][2]
    assert "origin refused" not in api.output


def answered(api: Server, method: str, status: int) -> int:
    """How many requests the server has answered so."""
    return len(re.findall(rf"method={method} .*status={status}", api.output))


@needs_chromium
async def test_one_preflight_an_address_is_enough_for_every_method_on_it(
    api: Server, token: str, frontend: int, page: Page
) -> None:
    before = answered(api, "OPTIONS", 204)
    await page.goto(f"http://once.localhost:{frontend}/")
    statuses = await page.evaluate(METHODS, [api.url, token])
    assert statuses == [201, 200, 200, 200, 204]
    until(lambda: answered(api, "DELETE", 204) == 1)  # its line comes last
    assert answered(api, "OPTIONS", 204) - before == 2


@needs_chromium
async def test_the_browser_sends_if_none_match_by_itself_and_a_script_that_does_costs_a_preflight(
    api: Server, token: str, frontend: int, page: Page
) -> None:
    await page.goto(f"http://reader.localhost:{frontend}/")
    preflights, unchanged = answered(api, "OPTIONS", 204), answered(api, "GET", 304)
    first, second, _ = await page.evaluate(READING, [api.url, token, False])
    assert first == second
    assert first[0] == 200
    until(lambda: answered(api, "GET", 304) - unchanged == 1)
    assert answered(api, "OPTIONS", 204) - preflights == 1
    *_, third = await page.evaluate(READING, [api.url, token, True])
    assert third == [304, first[1]]
    until(lambda: answered(api, "GET", 304) - unchanged == 4)
    assert answered(api, "OPTIONS", 204) - preflights == 2


@needs_chromium
async def test_a_page_of_another_name_may_not_and_the_server_says_once_what_to_set(
    api: Server, token: str, frontend: int, page: Page
) -> None:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    origin = f"http://{ELSEWHERE}:{frontend}"
    await page.goto(f"{origin}/")
    for _ in range(2):
        failure = await page.evaluate(f"({SCRIPT})({json.dumps([api.url, token, 'omit'])}).catch(String)")
        assert failure == "TypeError: Failed to fetch"
    assert any("CORS policy" in complaint for complaint in complaints)
    [line] = [line for line in api.output.splitlines() if "origin refused" in line]
    assert origin in line
    assert "CORS_ORIGINS" in line

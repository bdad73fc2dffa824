"""The documented code for a server finds the user of the request, and nobody else's tasks."""

import asyncio
import re
import secrets

import httpx

from tests.frontend import site
from tests.frontend.conftest import Frontend


def test_every_typescript_block_of_the_document_is_part_of_the_site(frontend: Frontend) -> None:
    assert len(site.snippets()) == len(re.findall(r"^```tsx?$", site.DOCUMENT.read_text(), flags=re.MULTILINE)) > 0
    assert all((site.FOLDER / path).is_file() for path in site.snippets())
    assert "example.com" not in (site.FOLDER / "lib" / "api.ts").read_text()
    assert frontend.site in (site.FOLDER / "lib" / "auth.ts").read_text()


async def test_server_component_shows_each_user_their_own_tasks_also_at_the_same_time(frontend: Frontend) -> None:
    with frontend.signed_up() as one, frontend.signed_up() as other:
        users = {secrets.token_hex(8): one, secrets.token_hex(8): other}
        for title, user in users.items():
            frontend.create(user.get("/api/auth/token").json()["token"], title)
        for _ in range(10):
            pages = await asyncio.gather(*(asyncio.to_thread(user.get, "/tasks") for user in users.values()))
            for page, title in zip(pages, users, strict=True):
                assert re.findall(r"<li>(.*?)</li>", page.text) == [title]


def test_server_component_sends_whoever_is_not_signed_in_to_sign_in(frontend: Frontend) -> None:
    answer = httpx.get(f"{frontend.site}/tasks", timeout=30)
    assert (answer.status_code, answer.headers["Location"]) == (307, "/sign-in")


def test_token_of_the_bridge_route_is_accepted(frontend: Frontend) -> None:
    assert httpx.get(f"{frontend.site}/api/task-token", timeout=30).status_code == 401
    with frontend.signed_up() as browser:
        answer = browser.get("/api/task-token")
    assert answer.headers["Cache-Control"] == "no-store"
    frontend.create(answer.json()["token"], "Signed by the route")


def test_cookie_cache_is_accepted_as_a_token(frontend: Frontend) -> None:
    with frontend.signed_up("/cached") as browser:
        answer = browser.get("/cached")
    assert (answer.status_code, answer.json()) == (200, [])

"""What other frontends call our paths: the same answers, and links that lead back through the same path."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import httpx
import pytest
from litestar import Litestar

from app.auth.mint import mint
from app.settings import Settings
from app.tasks.aliases import own_address
from tests.conftest import ORIGIN, client_of, random_user, running
from tests.servers import serving

TASKS: Final = "/api/me/tasks"
LISTS: Final = ["/api/tasks", "/api/v1/tasks", "/api/v1/me/tasks"]
VOLATILE: Final = {"x-request-id", "date", "ratelimit"}


def told(answer: httpx.Response) -> tuple[int, dict[str, str], Any]:
    """What an answer says, without what differs between any two."""
    headers = {name: value for name, value in answer.headers.items() if name not in VOLATILE}
    body = {**answer.json(), "request_id": ""} if answer.is_error and answer.content else answer.content
    return answer.status_code, headers, body


@pytest.fixture(scope="module", params=[True, False], ids=["direct", "litestar"])
async def served(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Litestar]:
    async with running(replace(settings, direct_dispatch=request.param)) as app:
        yield app


@pytest.fixture
async def client(served: Litestar, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(served, settings, random_user()) as client:
        yield client


async def new_task(client: httpx.AsyncClient) -> dict[str, Any]:
    task: dict[str, Any] = (await client.post(TASKS, json={"title": "x"})).json()
    return task


async def test_lists_and_tasks_are_the_same_under_other_paths(client: httpx.AsyncClient) -> None:
    task = await new_task(client)
    for path in [*LISTS, *(f"{path}/filtered" for path in [TASKS, *LISTS])]:
        for end in ("", "/", "?status=pending&limit=5", "/?tag=x"):
            assert told(await client.get(path + end)) == told(await client.get(TASKS + end)), path + end
    for path in LISTS:
        assert (await client.get(f"{path}/{task['id']}")).json() == task
        assert (await client.patch(f"{path}/{task['id']}", json={"title": "y"})).json()["title"] == "y"
        assert (await client.put(f"{path}/{task['id']}/", json={"title": "x"})).json()["title"] == "x"
        task = (await client.get(f"{TASKS}/{task['id']}")).json()
    assert told(await client.get("/api/v1/me/stats")) == told(await client.get("/api/me/stats"))
    assert (await client.delete(f"/api/v1/tasks/{task['id']}")).status_code == 204
    assert (await client.get(f"{TASKS}/{task['id']}")).status_code == 404


@pytest.mark.parametrize(
    ("method", "action"),
    [
        *(("POST", "complete"), ("PUT", "complete"), ("PATCH", "complete")),
        *(("POST", "toggle"), ("PUT", "toggle"), ("PATCH", "toggle")),
    ],
)
async def test_a_task_is_completed_by_every_method_and_either_word(
    client: httpx.AsyncClient, method: str, action: str
) -> None:
    task = await new_task(client)
    completed = False
    for path in [TASKS, *LISTS]:
        for end in ("", "/"):
            completed = not completed
            answer = await client.request(method, f"{path}/{task['id']}/{action}{end}")
            assert (answer.status_code, answer.json()["completed"]) == (200, completed)
    address = f"/api/tasks/{task['id']}/{action}"
    for value in (True, True, False):
        assert (await client.request(method, address, json={"completed": value})).json()["completed"] is value
    assert (await client.request(method, address, json={"completed": "no"})).status_code == 422
    stale = await client.request(method, address, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale_revision")


async def test_location_and_link_lead_through_the_path_that_the_client_used(
    client: httpx.AsyncClient, next_page: Callable[[httpx.Response], str | None]
) -> None:
    for path in LISTS:
        for end in ("", "/"):
            created = await client.post(path + end, json={"title": path})
            location = created.headers["location"]
            assert location == f"{path}/{created.json()['id']}"
            assert (await client.get(location)).json() == created.json()
    whole = (await client.get(TASKS)).json()
    for path in [*LISTS, f"{TASKS}/filtered", "/api/v1/tasks/filtered"]:
        seen: list[Any] = []
        url: str | None = f"{path}/?limit=2"
        while url:
            assert url.startswith(path)
            answer = await client.get(url)
            seen += answer.json()
            url = next_page(answer)
        assert seen == whole


async def test_head_options_and_405_are_those_of_our_paths(client: httpx.AsyncClient) -> None:
    task = await new_task(client)
    number = task["id"]
    for other, own in [
        ("/api/tasks", TASKS),
        ("/api/v1/tasks/", TASKS),
        (f"{TASKS}/filtered", TASKS),
        (f"/api/tasks/{number}", f"{TASKS}/{number}"),
        (f"/api/v1/tasks/{number}/toggle", f"{TASKS}/{number}/complete"),
        ("/api/v1/me", "/api/me"),
        ("/api/health", "/health"),
        ("/api/v1/health/", "/health"),
    ]:
        for method in ("HEAD", "OPTIONS", "TRACE"):
            if method != "TRACE" or "filtered" not in other:
                assert told(await client.request(method, other)) == told(await client.request(method, own)), other
    assert (await client.delete("/api/tasks")).status_code == 405
    assert (await client.post("/api/health")).status_code == 405
    assert (await client.get(f"/api/tasks/{number}/toggle")).status_code == 405


async def test_a_preflight_of_another_path_is_answered(client: httpx.AsyncClient) -> None:
    for path, method in (("/api/tasks/1/toggle", "POST"), ("/api/v1/tasks", "POST"), ("/api/tasks/filtered", "GET")):
        asked = {"Origin": ORIGIN, "Access-Control-Request-Method": method, "Authorization": ""}
        answer = await client.options(path, headers=asked)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, ORIGIN)
        assert method in answer.headers["access-control-allow-methods"]


async def test_errors_have_their_usual_order(client: httpx.AsyncClient) -> None:
    nobody = {"Authorization": ""}
    for path in ("/api/tasks", "/api/v1/tasks/1", "/api/v1/x/tasks", "/api/tasks/filtered?limit=0"):
        assert (await client.get(path, headers=nobody)).status_code == 401
    for path in ("/api/v1/x/tasks", "/api/v1/x/tasks/filtered?limit=0", "/api/v1/x", "/api/x/tasks/1"):
        assert (await client.get(path)).status_code == 403
    for path in ("/api/tasks/x", "/api/v1/tasks/0", "/api/tasks/tasks", "/api/v1", "/api/v1/", "/api/v1/me/tasks/1/x"):
        assert (await client.get(path)).status_code == 404
    assert (await client.post("/api/tasks/x/toggle")).status_code == 404
    assert (await client.get("/api/v1/tasks?limit=0")).status_code == 422


async def test_filtered_is_a_list_to_readers_and_no_task_to_writers(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/tasks/filtered")).json() == []
    for method in ("PATCH", "PUT", "DELETE"):
        answer = await client.request(method, f"{TASKS}/filtered", json={})
        assert (answer.status_code, answer.json()["code"]) == (404, "task_not_found")
    assert (await client.post(f"{TASKS}/filtered", json={"title": "x"})).status_code == 405
    assert (await client.get(TASKS)).json() == []


async def test_the_version_is_no_user_whose_account_could_be_erased(client: httpx.AsyncClient) -> None:
    await new_task(client)
    for path in ("/api/v1", "/api/v1/", "/api/tasks", "/api/tasks/"):
        assert (await client.delete(path)).status_code in {404, 405}
    assert len((await client.get(TASKS)).json()) == 1


async def test_a_user_with_a_reserved_id_has_me(served: Litestar, settings: Settings) -> None:
    for user_id in ("tasks", "v1", "health"):
        async with client_of(served, settings, user_id) as client:
            created = await client.post(TASKS, json={"title": user_id})
            assert (await client.get(created.headers["location"])).json()["title"] == user_id
            assert (await client.delete("/api/me")).status_code == 204


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/health", TASKS, f"{TASKS}/1", "/api/me", "/api/me/stats", "/api/tasksx", "/api/v10/tasks"),
        *("/api/healthy", "/api/health/tasks", "/api/me/filtered", "/api/me/tasks/1/filtered", "/api/me/toggle"),
        *("/toggle", "/api/me/tasks/complete", "/v1/api/me/tasks", f"{TASKS}/1/complete"),
    ],
)
def test_other_paths_are_left_as_they_are(path: str) -> None:
    for method in ("GET", "HEAD", "DELETE", "OPTIONS", "PATCH"):
        assert own_address(method, path) is None
        assert own_address(method, f"{path}/") is None or path == "/"


async def test_the_log_has_our_route_and_the_clients_method(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(settings) as app, client_of(app, settings, random_user()) as client:
        task = await new_task(client)
        await client.post(f"/api/v1/tasks/{task['id']}/toggle")
    line = capsys.readouterr().out.splitlines()[-1]
    assert '"method":"POST","route":"/api/{user_id}/tasks/{task_id}/complete","status":200' in line


@pytest.fixture(scope="module")
def address(settings: Settings) -> Iterator[str]:
    with serving(settings) as address:
        yield address


def test_a_server_leaves_the_connection_usable_after_head_and_other_methods(address: str, settings: Settings) -> None:
    headers = {"Authorization": f"Bearer {mint(settings, random_user(), 3600)}"}
    with httpx.Client(base_url=address, headers=headers, limits=httpx.Limits(max_connections=1)) as client:
        task = client.post("/api/v1/tasks", json={"title": "x", "tags": ["a"]}).json()
        for path in (*LISTS, "/api/tasks/filtered", f"/api/tasks/{task['id']}", "/api/health"):
            full = client.get(path)
            head = client.head(path)
            assert (full.status_code, head.status_code, head.content) == (200, 200, b"")
            assert head.headers["content-length"] == full.headers["content-length"] == str(len(full.content))
        for _ in range(2):
            assert client.post(f"/api/tasks/{task['id']}/toggle").status_code == 200
        assert client.head(f"/api/tasks/{task['id']}/toggle").status_code == 405
        assert len(client.get("/api/tasks?priority[]=MEDIUM&priority[]=LOW").json()) == 1
        assert client.get("/api/tasks?priority%5B%5D=HIGH&priority%5B%5D=LOW").json() == []

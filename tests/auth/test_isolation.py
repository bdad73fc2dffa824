from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

TASKS = "/api/me/tasks"


async def new_task(client: httpx.AsyncClient) -> dict[str, Any]:
    task: dict[str, Any] = (await client.post(TASKS, json={"title": "mine", "tags": ["secret"]})).json()
    return task


def data_routes(app: Litestar) -> list[tuple[str, str]]:
    return [
        (method, route.path_format)
        for route in app.routes
        if isinstance(route, HTTPRoute) and route.path_format.startswith("/api/")
        for method in sorted(route.route_handler_map)
        if method != "OPTIONS"
    ]


async def test_every_route_under_somebody_elses_id_is_403_and_changes_nothing(
    app: Litestar, client: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    task = await new_task(client)
    routes = data_routes(app)
    assert len(routes) >= 10
    for method, template in routes:
        path = template.format(user_id=task["user_id"], task_id=task["id"])
        for body in ({"title": "stolen"}, None):
            response = await other.request(method, path, json=body)
            assert (response.status_code, response.json()["code"]) == (403, "forbidden"), (method, path)
            assert "`me`" in response.json()["detail"]
    assert (await client.get(f"{TASKS}/{task['id']}")).json() == task


async def test_somebody_elses_task_is_as_missing_as_one_that_never_was(
    app: Litestar, client: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    task = await new_task(client)
    await new_task(other)
    for method, template in data_routes(app):
        if "{task_id}" in template:
            answers = [
                await other.request(method, template.format(user_id="me", task_id=task_id), json={"title": "stolen"})
                for task_id in (task["id"], 2**63 - 1)
            ]
            bodies = [{**answer.json(), "request_id": ""} for answer in answers]
            assert bodies[0] == bodies[1]
            assert bodies[0]["status"] == 404
    assert (await client.get(f"{TASKS}/{task['id']}")).json() == task


async def test_lists_numbers_and_erasure_reach_the_callers_own_rows_only(
    client: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    task = await new_task(client)
    before = (await client.get(TASKS)).headers["etag"]
    for params in ({}, {"search": "mine"}, {"tag": "secret"}, {"sort": "title"}):
        assert (await other.get(TASKS, params=params)).json() == []
    assert (await other.get("/api/me/stats")).json()["total"] == 0
    assert (await other.get("/api/me")).json()["counts"]["total"] == 0
    assert (await other.delete("/api/me")).status_code == 204
    response = await client.get(TASKS)
    assert (response.json(), response.headers["etag"]) == ([task], before)


async def test_a_list_cached_for_one_user_is_never_served_to_another(
    client: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    await new_task(client)
    for _ in range(3):
        assert len((await client.get(TASKS)).json()) == 1
        assert (await other.get(TASKS)).json() == []


@pytest.mark.parametrize(
    "path_id", ["ME", "Me", "me%20", "%2e", "%2e%2e", "*", "null", "undefined", "{user_id}", "a" * 5000]
)
async def test_only_the_own_id_and_me_are_let_through(client: httpx.AsyncClient, path_id: str) -> None:
    response = await client.get(f"/api/{path_id}/tasks")
    assert response.status_code in {403, 404}


async def test_other_names_lead_to_the_callers_own_tasks_and_to_nobody_elses(
    client: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    task = await new_task(client)
    assert (await other.get("/api/tasks")).json() == []
    for method, path in [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/complete"), ("PATCH", "/toggle")]:
        answer = await other.request(method, f"/api/v1/tasks/{task['id']}{path}", json={"title": "stolen"})
        assert answer.status_code == 404
        answer = await other.request(method, f"/api/v1/{task['user_id']}/tasks/{task['id']}{path}", json={})
        assert answer.status_code == 403
    assert (await client.get(f"{TASKS}/{task['id']}")).json() == task


async def test_a_path_that_names_nobody_does_not_speak_of_tasks(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/unknown")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert answer.json()["detail"] == "Not authorized to access this path; `me` stands for your own user id"
    assert (await client.get("/api/unknown", headers={"Authorization": ""})).status_code == 401
    assert (await client.get("/api/unknown/else")).status_code == 404


async def test_ownership_is_decided_before_anything_of_the_request_is_parsed(other: httpx.AsyncClient) -> None:
    for method, path in [("POST", "/api/x/tasks"), ("PATCH", "/api/x/tasks/abc"), ("GET", "/api/x/tasks?limit=0")]:
        response = await other.request(method, path, content=b"\xff" * 10)
        assert response.status_code == 403

from typing import Any

import httpx

TASKS = "/api/me/tasks"
BATCH = f"{TASKS}/batch"


def put(uid: str, title: str = "x", **more: Any) -> dict[str, Any]:
    return {"op": "put", "uid": uid, "data": {"title": title}, **more}


def patch(uid: str, title: str = "y", **more: Any) -> dict[str, Any]:
    return {"op": "patch", "uid": uid, "data": {"title": title}, **more}


def delete(uid: str, **more: Any) -> dict[str, Any]:
    return {"op": "delete", "uid": uid, **more}


async def send(client: httpx.AsyncClient, *operations: Any, **more: Any) -> httpx.Response:
    return await client.post(BATCH, json={"operations": operations, **more})


async def results(client: httpx.AsyncClient, *operations: Any, **more: Any) -> list[dict[str, Any]]:
    """The results of a batch that is not refused."""
    answer = await send(client, *operations, **more)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["results"]
    return found


def statuses(answer: httpx.Response) -> list[str]:
    return [result["status"] for result in answer.json()["results"]]

from datetime import UTC, datetime, timedelta

import asyncpg
import httpx

from app.settings import Settings
from tests.auth.test_tokens import claims, sign

TASKS = "/api/me/tasks"


async def test_a_user_whom_nobody_has_seen_has_a_profile(client: httpx.AsyncClient, user_id: str) -> None:
    for path in ("/api/me", f"/api/{user_id}", "/api/me/"):
        assert (await client.get(path)).json() == {
            "id": user_id,
            "email": None,
            "name": None,
            "first_seen_at": None,
            "revision": 0,
            "counts": {"total": 0, "pending": 0, "completed": 0},
        }


async def test_the_profile_shows_what_the_token_says_and_what_is_stored(
    client: httpx.AsyncClient, settings: Settings, user_id: str
) -> None:
    task = (await client.post(TASKS, json={"title": "x"})).json()
    await client.post(TASKS, json={"title": "y", "completed": True})
    token = sign(claims(sub=user_id, email="ada@example.org", name='Ada "😀"'), settings.better_auth_secret)
    profile = (await client.get("/api/me", headers={"Authorization": f"Bearer {token}"})).json()
    assert (profile["email"], profile["name"]) == ("ada@example.org", 'Ada "😀"')
    assert profile["first_seen_at"] == task["created_at"]
    assert profile["revision"] == task["revision"] + 1
    assert profile["counts"] == {"total": 2, "pending": 1, "completed": 1}


async def test_statistics_count_what_is_not_deleted(client: httpx.AsyncClient) -> None:
    now = datetime.now(UTC)
    past, future = (now - timedelta(days=1)).isoformat(), (now + timedelta(days=1)).isoformat()
    for body in (
        {"title": "late", "due_date": past, "priority": "HIGH"},
        {"title": "late but done", "due_date": past, "completed": True},
        {"title": "in time", "due_date": future},
        {"title": "whenever", "priority": "LOW"},
    ):
        await client.post(TASKS, json=body)
    gone = (await client.post(TASKS, json={"title": "gone", "due_date": past})).json()
    await client.delete(f"{TASKS}/{gone['id']}")
    response = await client.get("/api/me/stats")
    assert response.json() == {
        "total": 4,
        "pending": 3,
        "completed": 1,
        "overdue": 1,
        "by_priority": {"HIGH": 1, "MEDIUM": 2, "LOW": 1},
    }
    assert "etag" not in response.headers


async def test_erasure_leaves_no_row_and_can_be_repeated(
    client: httpx.AsyncClient, user_id: str, connection: asyncpg.Connection
) -> None:
    kept = (await client.post(TASKS, json={"title": "x"})).json()
    await client.delete(f"{TASKS}/{kept['id']}")
    await client.post(TASKS, json={"title": "y"})
    for _ in range(2):
        response = await client.delete("/api/me")
        assert (response.status_code, response.content) == (204, b"")
    assert await connection.fetchval("SELECT count(*) FROM tasks WHERE user_id = $1", user_id) == 0
    assert await connection.fetchval("SELECT count(*) FROM users WHERE id = $1", user_id) == 0
    assert (await client.get(TASKS)).json() == []


async def test_what_clients_kept_of_an_erased_account_means_nothing_to_the_one_after_it(
    client: httpx.AsyncClient,
) -> None:
    """ETags, cursors, revisions to ask for changes since, ids, uids and keys; both while it is gone and afterwards."""
    named = {"Idempotency-Key": "created-before-the-erasure"}
    old = (await client.post("/api/me/tasks", json={"title": "x"}, headers=named)).json()
    gone = (await client.post("/api/me/tasks", json={"title": "y"})).json()
    await client.delete(f"/api/me/tasks/{gone['id']}")
    listed = await client.get("/api/me/tasks")
    trash = await client.get("/api/me/tasks?status=deleted")
    copied = (await client.get("/api/me/tasks/changes")).json()
    assert (await client.delete("/api/me")).status_code == 204

    async def kept_means_nothing() -> None:
        for since in (old["revision"], copied["revision"]):
            changes = await client.get(f"/api/me/tasks/changes?since={since}")
            assert (changes.status_code, changes.json()["code"]) == (410, "changes_gone")
        for path, before in (("/api/me/tasks", listed), ("/api/me/tasks?status=deleted", trash)):
            now = await client.get(path, headers={"If-None-Match": before.headers["ETag"]})
            assert now.status_code == 200
            assert before.json()[0]["id"] not in {task["id"] for task in now.json()}
        tag = {"If-Match": f'"{old["revision"]}"'}
        for key in (old["id"], gone["id"]):
            assert (await client.post(f"/api/me/tasks/{key}/restore")).status_code == 404
            assert (await client.patch(f"/api/me/tasks/{key}", json={"title": "z"}, headers=tag)).status_code == 404

    await kept_means_nothing()
    again = await client.post("/api/me/tasks", json={"title": "x"}, headers=named)
    assert again.status_code == 201
    assert "Idempotent-Replayed" not in again.headers
    assert again.json()["id"] not in {old["id"], gone["id"]}
    assert again.json()["revision"] > copied["revision"]
    await kept_means_nothing()
    stale = {"If-Match": f'"{old["revision"]}"'}
    assert (await client.patch(f"/api/me/tasks/{old['uid']}", json={}, headers=stale)).status_code == 412
    started = (await client.get("/api/me/tasks/changes")).json()
    assert [task["id"] for task in started["changes"]] == [again.json()["id"]]
    following = await client.get(f"/api/me/tasks/changes?since={started['revision']}")
    assert following.json()["changes"] == []

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

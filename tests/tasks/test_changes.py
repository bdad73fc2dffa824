"""The delta feed: whoever applies its pages in order has the user's tasks, whatever is written in between."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import asyncpg
import httpx
import pytest
from litestar import Litestar

from app.settings import Settings
from tests.conftest import client_of, random_user

TASKS: Final = "/api/me/tasks"
CHANGES: Final = f"{TASKS}/changes"


class Copy:
    """What a client keeps: the rows by uid, and the revision that it has come to."""

    def __init__(self, client: httpx.AsyncClient, limit: int = 500) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.revision = 0
        self.seen: list[int] = []
        self._client = client
        self._limit = limit

    async def pull(self) -> None:
        path: str | None = f"{CHANGES}?since={self.revision}&limit={self._limit}"
        while path is not None:
            path = await self.page(path)

    async def page(self, path: str) -> str | None:
        answer = await self._client.get(path)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        for row in page["changes"]:
            self.seen.append(row["revision"])
            if row.pop("deleted_at") is None:
                self.rows[row["uid"]] = row
            else:
                self.rows.pop(row["uid"], None)
        self.revision = page["revision"]
        following: str | None = page["next"]
        return following

    async def is_complete(self) -> bool:
        tasks = (await self._client.get(TASKS)).json()
        return self.rows == {task["uid"]: task for task in tasks}


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(settings.database_url)
    yield connection
    await connection.close()


@pytest.fixture(params=[0, 6000], ids=["few tasks", "very many tasks"])
async def client(
    request: pytest.FixtureRequest, client: httpx.AsyncClient, user_id: str, database: asyncpg.Connection
) -> httpx.AsyncClient:
    """A user whose changes are looked for among the tasks, and one whose changes are logged."""
    if request.param:
        await client.post(TASKS, json={"title": "first"})
        await database.execute("UPDATE users SET tasks = $2 WHERE id = $1", user_id, request.param)
    return client


async def create(client: httpx.AsyncClient, *titles: str) -> list[dict[str, Any]]:
    return [(await client.post(TASKS, json={"title": title})).json() for title in titles]


async def changes(client: httpx.AsyncClient, **params: Any) -> dict[str, Any]:
    answer = await client.get(CHANGES, params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_it_tells_what_was_written_since_in_the_order_of_the_writes(client: httpx.AsyncClient) -> None:
    first, second, third = await create(client, "a", "b", "c")
    changed = (await client.patch(f"{TASKS}/{first['id']}", json={"title": "A"})).json()
    await client.delete(f"{TASKS}/{second['id']}")
    found = await changes(client, since=third["revision"])
    assert [(row["title"], row["deleted_at"] is None) for row in found["changes"]] == [("A", True), ("b", False)]
    assert found["changes"][0] == {**changed, "deleted_at": None}
    assert [row["revision"] for row in found["changes"]] == [third["revision"] + 1, third["revision"] + 2]
    assert (found["revision"], found["next"]) == (third["revision"] + 2, None)


async def test_a_task_that_was_written_twice_is_told_once(client: httpx.AsyncClient) -> None:
    [task] = await create(client, "a")
    for title in ("b", "c", "d"):
        await client.patch(f"{TASKS}/{task['id']}", json={"title": title})
    found = await changes(client, since=task["revision"])
    assert [row["title"] for row in found["changes"]] == ["d"]
    assert found["revision"] == task["revision"] + 3


async def test_a_snapshot_has_every_task_and_no_deletion_from_before_it(client: httpx.AsyncClient) -> None:
    kept, gone = await create(client, "kept", "gone")
    await client.delete(f"{TASKS}/{gone['id']}")
    for params in ({}, {"since": 0}):
        found = await changes(client, **params)
        assert {row["title"] for row in found["changes"]} - {"first"} == {"kept"}
        assert found["revision"] == kept["revision"] + 2


async def test_pages_of_a_snapshot_tell_what_is_deleted_while_they_are_read(client: httpx.AsyncClient) -> None:
    tasks = await create(client, *"abcdef")
    copy = Copy(client, limit=2)
    following = await copy.page(f"{CHANGES}?limit=2")
    assert following is not None
    for task in (tasks[0], tasks[4]):  # one that the client has, and one that it has not
        await client.delete(f"{TASKS}/{task['id']}")
    await client.patch(f"{TASKS}/{tasks[1]['id']}", json={"title": "changed"})
    while following is not None:
        following = await copy.page(following)
    assert await copy.is_complete()
    assert copy.seen == sorted(set(copy.seen))


async def test_next_leads_through_every_page_and_going_on_from_the_revision_does_too(client: httpx.AsyncClient) -> None:
    await create(client, *"abcdefg")
    by_next, by_revision = Copy(client, limit=3), Copy(client, limit=3)
    await by_next.pull()
    for _ in range(4):
        await by_revision.page(f"{CHANGES}?since={by_revision.revision}&limit=3")
    assert by_next.rows == by_revision.rows
    assert await by_next.is_complete()
    assert len(by_next.seen) == len(by_next.rows)


async def test_next_is_an_address_as_the_client_wrote_it(client: httpx.AsyncClient) -> None:
    await create(client, "a", "b")
    answer = await client.get("/api/tasks/changes?limit=1")
    assert answer.json()["next"].startswith("/api/tasks/changes?since=")
    assert "limit=1" in answer.json()["next"]


async def test_nobody_who_has_not_written_has_changes(app: Litestar, settings: Settings) -> None:
    async with client_of(app, settings, random_user()) as other:
        answer = await other.get(CHANGES)
        assert (answer.json(), answer.headers["etag"]) == ({"changes": [], "revision": 0, "next": None}, '"0"')
        assert (await other.get(CHANGES, headers={"If-None-Match": '"0"'})).status_code == 304
        gone = await other.get(CHANGES, params={"since": 1})
        assert (gone.status_code, gone.json()["code"]) == (410, "changes_gone")


async def test_a_client_that_has_everything_is_told_so_without_a_body(client: httpx.AsyncClient) -> None:
    [task] = await create(client, "a")
    here = await client.get(CHANGES, params={"since": task["revision"]})
    assert here.json() == {"changes": [], "revision": task["revision"], "next": None}
    assert here.headers["etag"] == f'"{task["revision"]}"'
    again = await client.get(
        CHANGES, params={"since": task["revision"]}, headers={"If-None-Match": here.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    anything = await client.get(CHANGES, headers={"If-None-Match": "*"})
    assert anything.status_code == 304


async def test_a_long_page_is_packed_if_the_client_takes_it(client: httpx.AsyncClient) -> None:
    await create(client, *"abcdef")
    plain = await client.get(CHANGES, headers={"Accept-Encoding": "identity"})
    packed = await client.get(CHANGES, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json() == plain.json()
    assert packed.headers["etag"] == f"W/{plain.headers['etag']}"
    held = await client.get(CHANGES, headers={"If-None-Match": packed.headers["etag"]})
    assert (held.status_code, held.headers["etag"]) == (304, packed.headers["etag"])


@pytest.mark.parametrize("since", ["later", "below"])
async def test_what_cannot_be_told_is_gone(
    client: httpx.AsyncClient, user_id: str, database: asyncpg.Connection, since: str
) -> None:
    [first] = await create(client, "a")
    await create(client, "b")
    await database.execute("UPDATE users SET floor = $2 WHERE id = $1", user_id, first["revision"] + 1)
    asked = first["revision"] + (10 if since == "later" else 0)
    tag = f'"{first["revision"] + 1}"'
    answer = await client.get(CHANGES, params={"since": asked}, headers={"If-None-Match": tag})
    assert (answer.status_code, answer.json()["code"]) == (410, "changes_gone")
    assert (await client.get(CHANGES, params={"since": first["revision"] + 1})).status_code == 200


async def test_pages_of_a_snapshot_may_lie_below_the_floor_until_more_is_forgotten(
    client: httpx.AsyncClient, user_id: str, database: asyncpg.Connection
) -> None:
    tasks = await create(client, *"abcd")
    await client.delete(f"{TASKS}/{tasks[3]['id']}")
    await database.execute("UPDATE users SET floor = revision WHERE id = $1", user_id)
    following = (await changes(client, limit=1))["next"]
    assert (await client.get(following)).status_code == 200
    await client.delete(f"{TASKS}/{tasks[2]['id']}")
    await database.execute("UPDATE users SET floor = revision WHERE id = $1", user_id)
    assert (await client.get(following)).status_code == 410


async def test_an_erased_user_who_comes_back_starts_anew(client: httpx.AsyncClient) -> None:
    copy = Copy(client)
    await create(client, "a", "b")
    await copy.pull()
    assert (await client.delete("/api/me")).status_code == 204
    assert (await client.get(CHANGES, params={"since": copy.revision})).status_code == 410
    await create(client, "c")
    assert (await client.get(CHANGES, params={"since": copy.revision})).status_code == 410


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("since=-1", "since"),
        ("since=", "since"),
        ("since=1.5", "since"),
        ("since=9223372036854775808", "since"),
        ("since=1&since=2", "since"),
        ("limit=0", "limit"),
        ("limit=5001", "limit"),
        ("snapshot=x", "snapshot"),
    ],
)
async def test_a_wrong_parameter_is_named(client: httpx.AsyncClient, query: str, field: str) -> None:
    answer = await client.get(f"{CHANGES}?{query}")
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, [field])


async def test_unknown_parameters_are_ignored(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{CHANGES}?_=7")).status_code == 200


async def test_a_log_that_lacks_a_change_is_not_believed(
    client: httpx.AsyncClient, user_id: str, database: asyncpg.Connection
) -> None:
    """As it does where a version without it has written."""
    first, *_ = await create(client, *"abc")
    await database.execute(
        "DELETE FROM task_changes WHERE user_id = $1 AND revision = $2", user_id, first["revision"] + 1
    )
    found = await changes(client, since=first["revision"])
    assert [row["title"] for row in found["changes"]] == ["b", "c"]


async def test_every_write_of_a_user_with_very_many_tasks_is_logged_and_others_write_nothing(
    client: httpx.AsyncClient, user_id: str, database: asyncpg.Connection
) -> None:
    [task] = await create(client, "a")
    await client.patch(f"{TASKS}/{task['id']}", json={"title": "b"})
    await client.patch(f"{TASKS}/{task['id']}/complete")
    await client.delete(f"{TASKS}/{task['id']}")
    logged = await database.fetch("SELECT revision FROM task_changes WHERE user_id = $1 ORDER BY revision", user_id)
    many = await database.fetchval("SELECT tasks > 5000 FROM users WHERE id = $1", user_id)
    expected = [task["revision"] + number for number in range(4)] if many else []
    assert [row["revision"] for row in logged] == expected


async def test_a_writer_never_makes_a_reader_miss_a_change(client: httpx.AsyncClient) -> None:
    """Several writers on one user, and a client that pulls all the while."""
    tasks = await create(client, *"abcdefgh")
    copy, done = Copy(client, limit=3), asyncio.Event()

    async def write(number: int) -> None:
        for turn in range(12):
            task = tasks[(number + turn) % len(tasks)]
            if turn == 11:
                await client.delete(f"{TASKS}/{task['id']}")
            else:
                await client.patch(f"{TASKS}/{task['id']}", json={"title": f"{number} {turn}"})

    async def follow() -> None:
        while not done.is_set():
            await copy.pull()

    follower = asyncio.create_task(follow())
    await asyncio.gather(*(write(number) for number in range(4)))
    done.set()
    await follower
    await copy.pull()
    assert await copy.is_complete()
    assert copy.seen == sorted(set(copy.seen))

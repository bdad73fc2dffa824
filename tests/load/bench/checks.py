"""Before anything is measured, each answer is compared with the database, so that nobody wins by answering nonsense."""

from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

import asyncpg
import httpx

from tests.load.bench.contenders import Contender
from tests.load.bench.plans import FILTERED, NEW_TASK, NOTHING_NEW, ONE_IS_NEW, PAGE, Data
from tests.load.bench.seed import REVISION, User

COMPARED: Final = ("id", "uid", "user_id", "title", "description", "tags", "completed", "due_date")
PENDING_WORK: Final = "AND NOT completed AND tags @> ARRAY['work']"


class WrongAnswerError(Exception):
    """A contender answered something else than it was asked for."""


class Exchange:
    """Speaks with one contender, and with the database about what it should have answered."""

    def __init__(
        self, client: httpx.AsyncClient, connection: asyncpg.Connection, data: Data, contender: Contender
    ) -> None:
        self.client = client
        self.connection = connection
        self.data = data
        self.contender = contender

    async def ask(
        self, method: str, path: str, user: User, status: HTTPStatus, body: Any = None, **more: str
    ) -> httpx.Response:
        """Send a request; `more` are headers, with _ for -."""
        headers = {"Authorization": f"Bearer {user.token}"} | {n.replace("_", "-"): value for n, value in more.items()}
        response = await self.client.request(method, path, headers=headers, json=body)
        if response.status_code != status:
            raise WrongAnswerError(f"{method} {path}: {response.status_code} {response.text[:200]}")
        return response

    async def stored(self, user: User, condition: str = "") -> list[dict[str, Any]]:
        rows = await self.connection.fetch(
            f"SELECT {', '.join(COMPARED)} FROM tasks WHERE user_id = $1 AND deleted_at IS NULL {condition}"
            " ORDER BY created_at DESC, id DESC LIMIT 50",
            user.id,
        )
        return [dict(row) for row in rows]

    async def same(self, answer: Any, user: User, condition: str = "") -> None:
        """Compare tasks with those that the database has, in its order."""
        stored = await self.stored(user, condition)
        if not self.contender.answers_uid:
            answer = [task | {"uid": row["uid"]} for task, row in zip(answer, stored, strict=False)]
        if [_read(task) for task in answer] != stored:
            raise WrongAnswerError(f"not the tasks of {user.id}: {str(answer)[:200]}")


def _read(task: dict[str, Any]) -> dict[str, Any]:
    due_date = task["due_date"] and datetime.fromisoformat(task["due_date"])
    uid = None if task["uid"] == str(task["id"]) else task["uid"]  # what we write where there is none
    return {name: task[name] for name in COMPARED} | {"due_date": due_date, "uid": uid}


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise WrongAnswerError(problem)


async def lists(exchange: Exchange) -> None:
    user = exchange.data.readers[-1]
    response = await exchange.ask("GET", user.path + PAGE, user, HTTPStatus.OK)
    _require(len(response.json()) == len(user.task_ids), "a list of another length")
    await exchange.same(response.json(), user)


async def conditional_lists(exchange: Exchange) -> None:
    """Those who know conditional requests answer 304 without a body, the others the whole list."""
    user = exchange.data.readers[-1]
    if not exchange.contender.conditional:
        await lists(exchange)
        return
    tag = (await exchange.ask("GET", user.path + PAGE, user, HTTPStatus.OK)).headers["ETag"]
    response = await exchange.ask("GET", user.path + PAGE, user, HTTPStatus.NOT_MODIFIED, If_None_Match=tag)
    _require(not response.content, "a 304 with a body")
    await exchange.ask("GET", user.path + PAGE, user, HTTPStatus.OK, If_None_Match='"1"')


async def nothing_new(exchange: Exchange) -> None:
    """Those who tell no changes are asked for the whole list."""
    if not exchange.contender.syncs:
        await lists(exchange)
        return
    user = exchange.data.readers[-1]
    answer = (await exchange.ask("GET", user.path + NOTHING_NEW, user, HTTPStatus.OK)).json()
    _require(answer == {"changes": [], "revision": REVISION, "next": None}, "something new")


async def one_is_new(exchange: Exchange) -> None:
    """The same."""
    if not exchange.contender.syncs:
        await lists(exchange)
        return
    user = exchange.data.readers[-1]
    answer = (await exchange.ask("GET", user.path + ONE_IS_NEW, user, HTTPStatus.OK)).json()
    _require((answer["revision"], answer["next"]) == (REVISION, None), "another revision")
    _require(len(answer["changes"]) == 1, "not one change")
    await exchange.same(answer["changes"], user, f"AND revision > {REVISION - 2}")


async def filtered_lists(exchange: Exchange) -> None:
    user = exchange.data.readers[-1]
    response = await exchange.ask("GET", user.path + FILTERED, user, HTTPStatus.OK)
    _require(0 < len(response.json()) < len(user.task_ids), "an unfiltered list")
    await exchange.same(response.json(), user, PENDING_WORK)


async def single_tasks(exchange: Exchange) -> None:
    user = exchange.data.readers[-1]
    task_id = user.task_ids[-1]
    response = await exchange.ask("GET", f"{user.path}/{task_id}", user, HTTPStatus.OK)
    await exchange.same([response.json()], user, f"AND id = {task_id}")


async def creations(exchange: Exchange) -> None:
    user = exchange.data.writers[-1]
    task = (await exchange.ask("POST", user.path, user, HTTPStatus.CREATED, NEW_TASK)).json()
    _require(task["title"] == NEW_TASK["title"] and task["tags"] == NEW_TASK["tags"], "another task than was sent")
    await exchange.same([task], user, f"AND id = {int(task['id'])}")


async def keyed_creations(exchange: Exchange) -> None:
    """A key that was used already names its task; those who know no keys create another one."""
    await creations(exchange)
    user = exchange.data.writers[-1]
    key = {"Idempotency_Key": "checked-before-measured"}
    first, again = [
        (await exchange.ask("POST", user.path, user, HTTPStatus.CREATED, NEW_TASK, **key)).json() for _ in range(2)
    ]
    _require((first == again) == exchange.contender.syncs, "another number of tasks than there should be")
    for task in (first, again):
        await exchange.same([task], user, f"AND id = {int(task['id'])}")


async def patches(exchange: Exchange) -> None:
    user = exchange.data.writers[-1]
    task_id = user.task_ids[-1]
    title = {"title": "Check the answer"}
    task = (await exchange.ask("PATCH", f"{user.path}/{task_id}", user, HTTPStatus.OK, title)).json()
    _require(task["title"] == title["title"], "the title has not changed")
    await exchange.same([task], user, f"AND id = {task_id}")


async def toggles(exchange: Exchange) -> None:
    user = exchange.data.writers[-1]
    task_id = user.task_ids[-1]
    [before] = await exchange.stored(user, f"AND id = {task_id}")
    task = (await exchange.ask("PATCH", f"{user.path}/{task_id}/complete", user, HTTPStatus.OK)).json()
    _require(task["completed"] is not before["completed"], "the task was not flipped")
    await exchange.same([task], user, f"AND id = {task_id}")


async def churn(exchange: Exchange) -> None:
    user = exchange.data.writers[-1]
    task = (await exchange.ask("POST", user.path, user, HTTPStatus.CREATED, NEW_TASK)).json()
    await exchange.ask("DELETE", f"{user.path}/{task['id']}", user, HTTPStatus.NO_CONTENT)
    await exchange.ask("GET", f"{user.path}/{task['id']}", user, HTTPStatus.NOT_FOUND)
    await exchange.same([], user, f"AND id = {int(task['id'])}")


async def mix(exchange: Exchange) -> None:
    user = exchange.data.mixed[-1]
    response = await exchange.ask("GET", user.path + PAGE, user, HTTPStatus.OK)
    await exchange.same(response.json(), user)
    await patches(exchange)

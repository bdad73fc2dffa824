"""Reads that are sent together, writes and erasures, while some of them are cancelled and connections break."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any

from msgspec import json
from sqlalchemy.exc import DBAPIError

from app.auth.caller import Caller
from app.db.database import Database
from app.db.failures import AnswerLost
from app.settings import Settings
from app.tasks.errors import TaskNotFound
from app.tasks.query import parse
from app.tasks.repository import TaskStore
from app.tasks.rules import PRIORITIES
from app.tasks.schemas import TaskCreate
from app.users.repository import UserStore
from tests.conftest import random_user
from tests.db.test_user_turns import leaves_nothing
from tests.faults.ledger import DEADLINE_SECONDS
from tests.faults.scale import Scale
from tests.wire import relayed

USERS = 40
READERS = 100
WRITERS = 3
IMPATIENT = 6
MOST_STATEMENTS = 6
"""For a write, a creation and an erasure, which is a transaction."""

CANCELLED = 0.3
LATEST_SECONDS = 0.005
CUT_SECONDS = 0.5
CUT_ANSWERS = 500
"""Between two cuts, lest a busy machine that takes longer to connect than CUT_SECONDS is never connected; each
has a hundred reads ask once more."""

LISTS = [parse(text) for text in (b"", b"limit=2", b"sort=title", b"status=pending")]


class Crowd:
    """Users whose tasks bear their names, and how often each has been answered what."""

    def __init__(self, reading: Database, writing: Database, answers: int) -> None:
        self.counts: Counter[str] = Counter()
        self._answers = answers
        self._random = random.Random(answers)  # noqa: S311 - who does what, not a secret
        self._tasks = TaskStore(reading, priority_names=PRIORITIES, cache_bytes=2**20)
        self._users = UserStore(reading, priority_names=PRIORITIES)
        self._writing = TaskStore(writing, priority_names=PRIORITIES, cache_bytes=0, compress=False)
        self._revisions: dict[str, dict[int, int]] = {}
        """Of each user's tasks, as last acknowledged."""

    async def come(self) -> None:
        for number in range(USERS):
            user_id = random_user()
            made = [
                await self._writing.create(user_id, TaskCreate(title=user_id).present()) for _ in range(1 + number % 4)
            ]
            self._revisions[user_id] = {task.id: task.revision for task in made if task.id}

    async def read(self) -> None:
        while self.counts["answers"] < self._answers:
            reading = asyncio.create_task(self._read_one())
            if self._random.random() < CANCELLED:
                await asyncio.sleep(self._random.choice([0, self._random.uniform(0, LATEST_SECONDS)]))
                reading.cancel()
            try:
                await reading
                self.counts["answers"] += 1
            except asyncio.CancelledError:
                self.counts["cancelled"] += 1

    async def write(self) -> None:
        while self.counts["answers"] < self._answers:
            user_id, task_id = self._any_task()
            stored = await self._writing.update(user_id, task_id, {"completed": self._random.random() < 0.5})
            self._revisions[user_id][task_id] = max(stored.revision, self._revisions[user_id][task_id])
            self.counts["writes"] += 1

    async def write_and_give_up(self) -> None:
        """Write where reads are, and cancel some; nobody knows what came of those, or where a connection broke."""
        while self.counts["answers"] < self._answers:
            self.counts["writes and erasures"] += 1
            user_id, task_id = self._any_task()
            await self._give_up(self._tasks.complete(user_id, task_id, completed=None))
            await self._give_up(self._come_and_go(random_user()))

    async def _come_and_go(self, user_id: str) -> None:
        await self._tasks.create(user_id, TaskCreate(title=user_id).present())
        await self._users.erase(user_id)

    async def _give_up(self, request: Coroutine[Any, Any, Any]) -> None:
        asking = asyncio.create_task(request)
        await asyncio.sleep(self._random.choice([0, self._random.uniform(0, LATEST_SECONDS)]))
        self.counts["given up"] += asking.cancel()
        with suppress(asyncio.CancelledError, AnswerLost, DBAPIError):
            await asking

    def _any_task(self) -> tuple[str, int]:
        user_id = self._random.choice([*self._revisions])
        return user_id, self._random.choice([*self._revisions[user_id]])

    async def _read_one(self) -> None:
        user_id, task_id = self._any_task()
        written = dict(self._revisions[user_id])
        match self._random.randrange(8):
            case 0:
                page = await self._tasks.page(user_id, self._random.choice(LISTS))
                assert page.revision >= max(written.values())
                assert page.body is not None
                tasks = json.decode(page.body)
                assert {(task["user_id"], task["title"]) for task in tasks} <= {(user_id, user_id)}
                assert all(task["revision"] >= written[task["id"]] for task in tasks)
            case 1:
                stats = json.decode(await self._users.stats(user_id))
                assert stats["total"] == len(written)
            case 2:
                profile = json.decode(await self._users.profile(Caller(id=user_id, email=f"{user_id}@x")))
                assert (profile["id"], profile["email"]) == (user_id, f"{user_id}@x")
                assert profile["revision"] >= max(written.values())
            case 3:
                owner, foreign = self._any_task()
                if owner != user_id:
                    await self._is_missing(user_id, foreign)
            case _:
                known = [written[task_id]] * self._random.randrange(2)
                stored = await self._tasks.read(user_id, task_id, known)
                assert stored.revision >= written[task_id]
                assert (stored.body is None) == (stored.revision in known)
                task: dict[str, Any] = json.decode(stored.body or f'{{"id":{task_id},"title":"{user_id}"}}')
                assert (task["id"], task["title"]) == (task_id, user_id)

    async def _is_missing(self, user_id: str, task_id: int) -> None:
        with suppress(TaskNotFound):
            await self._tasks.read(user_id, task_id)
            raise AssertionError


async def test_each_answer_is_the_reader_s_own_and_not_older_than_the_request(
    settings: Settings, scale: Scale, report: Callable[[str], None]
) -> None:
    async with relayed(settings.database_url) as (relay, url):
        reading, writing = Database(replace(settings, database_url=url)), Database(settings)
        crowd = Crowd(reading, writing, scale.answers)
        await crowd.come()

        async def cut() -> None:
            while True:
                answered = crowd.counts["answers"]
                await asyncio.sleep(CUT_SECONDS)
                while crowd.counts["answers"] < answered + CUT_ANSWERS:
                    await asyncio.sleep(0.01)
                relay.cut()

        cutting = asyncio.create_task(cut())
        async with asyncio.TaskGroup() as people:
            for person in (*[crowd.read] * READERS, *[crowd.write] * WRITERS, *[crowd.write_and_give_up] * IMPATIENT):
                people.create_task(person())
        cutting.cancel()
        statements = relay.statements
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not leaves_nothing(reading, settings.database_pool_size):
                await asyncio.sleep(0.01)
        await reading.close()
        await writing.close()
    report(f"reads at once: {dict(crowd.counts)} in {statements} statements")
    assert crowd.counts["cancelled"] > scale.answers / 10
    assert crowd.counts["given up"] > scale.answers / 100
    assert statements - MOST_STATEMENTS * crowd.counts["writes and erasures"] < crowd.counts["answers"] / 2

"""Reads that are sent together while some of them are cancelled, others write, and connections break."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from msgspec import json

from app.auth.caller import Caller
from app.db.database import Database
from app.settings import Settings
from app.tasks.errors import TaskNotFound
from app.tasks.query import parse
from app.tasks.repository import TaskStore
from app.tasks.rules import PRIORITIES
from app.tasks.schemas import TaskCreate
from app.users.repository import UserStore
from tests.conftest import random_user
from tests.faults.scale import Scale
from tests.wire import relayed

USERS = 40
READERS = 100
WRITERS = 3
CANCELLED = 0.3
LATEST_SECONDS = 0.005
CUT_SECONDS = 0.5
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
                await asyncio.sleep(CUT_SECONDS)
                relay.cut()

        cutting = asyncio.create_task(cut())
        async with asyncio.TaskGroup() as people:
            for person in (*[crowd.read] * READERS, *[crowd.write] * WRITERS):
                people.create_task(person())
        cutting.cancel()
        statements = relay.statements
        turns = reading._connections.turns  # noqa: SLF001 - nobody has a turn or waits for one
        assert (turns.waiting, turns._value) == (0, settings.database_pool_size)  # noqa: SLF001
        assert not reading._coalescer._groups  # noqa: SLF001
        await reading.close()
        await writing.close()
    report(f"reads at once: {dict(crowd.counts)} in {statements} statements")
    assert crowd.counts["cancelled"] > scale.answers / 10
    assert statements < crowd.counts["answers"] / 2

"""Users who write without pause through whatever befalls the service, and remember what they were told."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from tests.conftest import random_user
from tests.faults.client import Answer, Client, Unanswered, Unreachable
from tests.faults.ledger import Contents, Kept, Ledger, contents
from tests.faults.service import Service

WRITERS = 20
USERS = 5
OPEN_TASKS = 10
"""With this many a writer creates no further one until it has deleted one."""

PAUSE_SECONDS = 0.05
"""Between a refusal and the next attempt; less than Retry-After asks for, to press harder."""

REFUSALS = {"503 database_unavailable", "503 overloaded"}


class Writer:
    """Writes to tasks of its own only, so that it knows what they look like; others of its user write beside it."""

    def __init__(self, name: str, user_id: str, client: Client, ledger: Ledger) -> None:
        self.name = name
        self.user_id = user_id
        self.running = True
        self._client = client
        self._ledger = ledger
        self._random = random.Random(name)  # noqa: S311 - what it writes, not a secret
        self._titles = (f"{name}-{number}" for number in count())
        self._tasks: list[Kept] = []

    async def run(self) -> None:
        while self.running:
            if not self._tasks or (len(self._tasks) < OPEN_TASKS and self._random.random() < 0.4):
                await self.create()
            else:
                await self._change(self._random.choice(self._tasks))
        self._client.close()

    async def create(self) -> None:
        """Every other one has a key, and is repeated until there is an answer."""
        title = next(self._titles)
        key = title if self._random.random() < 1 / 2 else None
        self._ledger.titles[title] = "unknown"
        body = {"title": title, "description": "0"}
        answer = await self._write("POST", "/tasks", body, key)
        while key and not answer:
            answer = await self._write("POST", "/tasks", body, key)
        if answer:
            self._ledger.titles[title] = "acknowledged"
            task = answer.json()
            kept = Kept(self.user_id, task["id"], {contents(task)})
            self._tasks.append(kept)
            self._ledger.tasks.append(kept)

    async def _change(self, kept: Kept) -> None:
        [before] = kept.possible
        assert before
        method, path, body, after = self._choose(kept.id, before)
        answer = await self._write(method, path, body)
        if answer is None:  # what comes of it may come late, so it stays alone from now on
            kept.possible.add(after)
            self._tasks.remove(kept)
        elif answer.status == 404:
            self._ledger.violations.append(f"an acknowledged task is gone: {before[0]}")
            self._tasks.remove(kept)
        else:
            kept.possible = {after}
            if after is None:
                self._tasks.remove(kept)
            elif contents(answer.json()) != after:
                self._ledger.violations.append(f"{contents(answer.json())} is not {after}")

    def _choose(self, task_id: int, before: Contents) -> tuple[str, str, Any, Contents | None]:
        title, description, completed = before
        path = f"/tasks/{task_id}"
        kind = self._random.random()
        if kind < 0.2:
            return "DELETE", path, None, None
        if kind < 0.5:
            return "PATCH", f"{path}/complete", None, (title, description, not completed)
        changed = str(int(description or 0) + 1)
        return "PATCH", path, {"description": changed}, (title, changed, completed)

    async def _write(self, method: str, path: str, body: Any, key: str | None = None) -> Answer | None:
        """Repeat what was refused; return None where nobody knows what came of it."""
        while True:
            try:
                answer = await self._client.request(method, path, body, key=key)
            except Unreachable:
                self._ledger.note_silence("no connection")
            except Unanswered as silence:
                self._ledger.note_silence("no answer", silence.sent)
                self._ledger.unknown[self.user_id] += 1
                return None
            else:
                self._ledger.note(answer)
                if answer.status in {200, 201, 204}:
                    await self._ledger.acknowledge(self.name, self.user_id, answer)
                    return answer
                if answer.status == 404:
                    return answer
                if answer.code not in REFUSALS:
                    self._ledger.unknown[self.user_id] += 1
                    return None
            await asyncio.sleep(PAUSE_SECONDS)


@asynccontextmanager
async def writing(service: Service) -> AsyncIterator[Ledger]:
    """Have everybody write for the length of the block, and finish what they are at then."""
    ledger = Ledger()
    users = [random_user() for _ in range(USERS)]
    clients = [(user_id, service.client(user_id)) for _ in range(WRITERS // USERS) for user_id in users]
    writers = [
        Writer(f"{user_id}-{number}", user_id, client, ledger) for number, (user_id, client) in enumerate(clients)
    ]
    for writer in writers[:USERS]:
        await writer.create()
    async with asyncio.TaskGroup() as tasks:
        for writer in writers:
            tasks.create_task(writer.run())
        try:
            yield ledger
        finally:
            for writer in writers:
                writer.running = False

"""Clients of one user that write to the same tasks through every route, as fast as they are answered."""

import asyncio
import random
from collections import Counter
from typing import Any, Final

from tests.faults.client import Answer, Client
from tests.sync.follower import Told

LATEST: Final = 100
"""Writes go to one of the tasks named last, so that writers meet there."""

EXPECTED: Final = {200, 201, 204, 404, 409, 410}
"""Gone, refused as a whole, and deleted since are what others may cause."""

KINDS: Final = (
    *("create", "create with key", "create with uid", "the same create at once"),
    *("patch", "put", "complete", "flip", "delete", "restore", "batch", "batch, not atomic"),
)


class BusyWriter:
    """One of them; `counts` has the writes that were acknowledged, by kind."""

    def __init__(self, number: int, clients: tuple[Client, Client], names: list[str], told: Told) -> None:
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self._number = number
        self._clients = clients
        self._names = names
        self._told = told
        self._random = random.Random(number)  # noqa: S311 - what it writes, not a secret
        self._made = 0

    async def write(self) -> None:
        """Send one write of any kind, and keep what it was told."""
        kind = self._random.choice(KINDS) if self._names else "create"
        self._made += 1
        method, path, body, key = self._request(kind, f"{self._number}-of-order-{self._made}")
        name = path.rpartition("/")[2]
        before = self._told.latest.get(name, 0)
        clients = self._clients if kind == "the same create at once" else self._clients[:1]
        answers = await asyncio.gather(*(client.request(method, path, body, key=key) for client in clients))
        for answer in answers:
            self._note(kind, answer)
            if answer.status == 204:  # a deletion, which has a later revision, and does not name it
                self._told.note(name, before + 1)

    def _request(self, kind: str, name: str) -> tuple[str, str, Any, str | None]:
        """Return method, path, body and key; `name` is one that no task has."""
        data = {"title": f"{kind} {self._random.random()}"}
        match kind:
            case "create" | "create with uid":
                return "POST", "/tasks", data if kind == "create" else {**data, "uid": name}, None
            case "create with key" | "the same create at once":
                return "POST", "/tasks", data, name
            case "batch" | "batch, not atomic":
                operations = [self._operation(f"{name}-{n}") for n in range(self._random.randint(1, 5))]
                return "POST", "/tasks/batch", {"atomic": kind == "batch", "operations": operations}, None
        path = f"/tasks/{self._any()}"
        requests: dict[str, tuple[str, str, Any]] = {
            "patch": ("PATCH", path, data),
            "put": ("PUT", path, data),
            "complete": ("PATCH", f"{path}/complete", {"completed": self._random.random() < 1 / 2}),
            "flip": ("PATCH", f"{path}/complete", None),
            "delete": ("DELETE", path, None),
            "restore": ("POST", f"{path}/restore", None),
        }
        return *requests[kind], None

    def _any(self) -> str:
        return self._random.choice(self._names[-LATEST:])

    def _operation(self, name: str) -> dict[str, Any]:
        data = {"title": f"batch {self._random.random()}"}
        op = self._random.choice(("create", "put", "patch", "delete"))
        if op == "create":
            return {"op": "put", "uid": name, "data": data}
        return {"op": op, "uid": self._any(), "data": data}

    def _note(self, kind: str, answer: Answer) -> None:
        if answer.status not in EXPECTED:
            self.problems.append(f"{kind} is answered with {answer.code}")
        if answer.status not in {200, 201, 204}:
            return
        self.counts[kind] += 1
        if answer.status == 204:
            return
        said = answer.json()
        tasks = [said] if "uid" in said else [each["task"] for each in said["results"] if each["status"] == "ok"]
        for task in tasks:
            if task is None:  # the delete of one that never was
                continue
            if task["uid"] not in self._names[-LATEST:]:
                self._names.append(task["uid"])
            self._told.note(task["uid"], task["revision"])

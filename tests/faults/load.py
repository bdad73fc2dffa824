"""Requests at a rate that does not care for the answers, or from clients that do; in a process of its own.

What to do comes in as JSON, and what came of it goes out: see Order and Outcome.
"""

import asyncio
import random
import subprocess
import sys
import time
from collections import Counter
from typing import Literal

import msgspec
import uvloop

from tests.faults.client import Answer, Client, Unanswered, Unreachable

Action = Literal["read", "change", "flip", "create"]
SUCCESSES = {200, 201}


class Order(msgspec.Struct):
    port: int
    tasks: list[tuple[str, int]]
    """Tokens of users, and a task of each."""

    seconds: float
    rate: float = 0
    """Requests a second, started in time whatever became of those before; 0 for as fast as `clients` can."""

    clients: int = 0
    actions: tuple[Action, ...] = ("read", "read", "read", "read", "change")
    """Each request is one of these, each as likely."""

    pause: bool = False
    """Whether a client that is refused waits as long as Retry-After says."""


class Times(msgspec.Struct):
    """Of answers, in seconds from the moment when the request was due."""

    count: int
    p50: float
    p99: float
    longest: float


class Outcome(msgspec.Struct):
    counts: dict[str, int]
    goodput: float
    """Successes a second while the load was on."""

    admitted: Times
    refused: Times
    first_success: float
    """On the monotonic clock, which all processes share."""

    last_failure: float
    lateness: float
    """p99 of how late requests were started: the load itself is the bottleneck where this is not small."""


class Load:
    def __init__(self, order: Order) -> None:
        self._order = order
        self._idle = [(Client(order.port, token), task_id) for token, task_id in order.tasks]
        self._random = random.Random(order.rate)  # noqa: S311 - which request comes next, not a secret
        self._counts: Counter[str] = Counter()
        self._admitted: list[float] = []
        self._refused: list[float] = []
        self._late: list[float] = []
        self._in_time = 0
        self._first_success = self._last_failure = 0.0
        self._end = time.monotonic() + order.seconds

    async def run(self) -> Outcome:
        await (self._open() if self._order.rate else self._closed())
        return Outcome(
            dict(self._counts),
            self._in_time / self._order.seconds,
            times(self._admitted),
            times(self._refused),
            self._first_success,
            self._last_failure,
            times(self._late).p99,
        )

    async def _open(self) -> None:
        due = time.monotonic()
        async with asyncio.TaskGroup() as requests:
            while due < self._end:
                await asyncio.sleep(due - time.monotonic())
                while due <= time.monotonic():
                    self._late.append(time.monotonic() - due)
                    requests.create_task(self._request(due))
                    due += 1 / self._order.rate

    async def _closed(self) -> None:
        async def client() -> None:
            while time.monotonic() < self._end:
                await self._request(time.monotonic())

        await asyncio.gather(*(client() for _ in range(self._order.clients)))

    async def _request(self, due: float) -> None:
        if self._idle:
            client, task_id = self._idle.pop()
        else:
            token, task_id = self._random.choice(self._order.tasks)
            client = Client(self._order.port, token)
        try:
            answer = await self._send(client, task_id, due)
        except (Unreachable, Unanswered) as silence:
            self._failed(type(silence).__name__)
        else:
            self._note(answer, due)
            if self._order.pause and answer.status not in SUCCESSES:
                await asyncio.sleep(int(answer.headers["retry-after"]))
        self._idle.append((client, task_id))

    async def _send(self, client: Client, task_id: int, due: float) -> Answer:
        match self._random.choice(self._order.actions):
            case "read":
                return await client.request("GET", f"/tasks/{task_id}")
            case "change":
                return await client.request("PATCH", f"/tasks/{task_id}", {"description": str(due)})
            case "flip":
                return await client.request("PATCH", f"/tasks/{task_id}/complete")
            case "create":
                return await client.request("POST", "/tasks", {"title": str(due)})

    def _note(self, answer: Answer, due: float) -> None:
        now = time.monotonic()
        if answer.status not in SUCCESSES:
            missing = "" if "retry-after" in answer.headers else " without Retry-After"
            self._failed(answer.code + missing)
            self._refused.append(now - due)
            return
        self._counts[answer.code] += 1
        self._admitted.append(now - due)
        self._in_time += now <= self._end
        self._first_success = self._first_success or now

    def _failed(self, kind: str) -> None:
        self._counts[kind] += 1
        self._last_failure = time.monotonic()


def times(seconds: list[float]) -> Times:
    ordered = sorted(seconds) or [0.0]
    last = len(ordered) - 1
    return Times(len(seconds), ordered[last // 2], ordered[round(last * 0.99)], ordered[last])


async def load(order: Order) -> Outcome:
    """Run it in another process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    answer, _ = await process.communicate(msgspec.json.encode(order))
    return msgspec.json.decode(answer, type=Outcome)


if __name__ == "__main__":
    received = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)

    async def main() -> Outcome:
        return await Load(received).run()

    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(main())))

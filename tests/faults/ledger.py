"""What the service acknowledged, refused and left open, to be held against what the database has in the end.

Three things can become of a write: acknowledged, it is there; refused (503 `database_unavailable`, `overloaded`), it is
not; unknown (503 `outcome_unknown`, or the connection ended), it happened once or not at all.
"""

import asyncio
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.faults.client import Answer

DEADLINE_SECONDS = 5
SUCCESSES = {200, 201, 204}

Contents = tuple[str, str | None, bool]
"""Title, description and whether it is completed."""


def contents(task: dict[str, Any]) -> Contents:
    return task["title"], task["description"], task["completed"]


@dataclass
class Kept:
    """A task whose creation was acknowledged, and what it may look like; None stands for deleted."""

    user_id: str
    id: int
    possible: set[Contents | None]


@dataclass
class Ledger:
    answers: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    unanswered: list[float] = field(default_factory=list)
    """When the requests were sent whose connections ended without an answer."""

    tasks: list[Kept] = field(default_factory=list)
    titles: dict[str, str] = field(default_factory=dict)
    """Each title that somebody tried to create, with the outcome."""

    acknowledged: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    revisions: dict[str, list[tuple[float, float, int]]] = field(default_factory=lambda: defaultdict(list))
    """Per user and acknowledged write: when it was sent and answered, and the revision it was told."""

    slowest: float = 0

    _advanced: asyncio.Condition = field(default_factory=asyncio.Condition)
    _succeeded: dict[str, float] = field(default_factory=dict)

    def note(self, answer: Answer) -> None:
        """Hold any answer against what every answer owes."""
        self.answers[answer.code] += 1
        self.slowest = max(self.slowest, answer.seconds)
        if answer.status == 503:
            if "retry-after" not in answer.headers:
                self.violations.append(f"{answer.code} without Retry-After")
        elif answer.status not in SUCCESSES:
            self.violations.append(answer.code)
        if answer.seconds > DEADLINE_SECONDS:
            self.violations.append(f"{answer.code} after {answer.seconds:.1f} s")

    def note_silence(self, kind: str, sent: float | None = None) -> None:
        self.answers[kind] += 1
        if sent is not None:
            self.unanswered.append(sent)

    async def acknowledge(self, writer: str, user_id: str, answer: Answer) -> None:
        now = time.monotonic()
        self.acknowledged[user_id] += 1
        if "etag" in answer.headers and "idempotent-replayed" not in answer.headers:
            self.revisions[user_id].append((answer.sent, now, int(answer.headers["etag"].strip('W/"'))))
        async with self._advanced:
            self._succeeded[writer] = now
            self._advanced.notify_all()

    @property
    def total(self) -> int:
        return self.acknowledged.total()

    async def more(self, writes: int) -> None:
        """Wait for that many further acknowledged writes."""
        wanted = self.total + writes
        async with self._advanced:
            await self._advanced.wait_for(lambda: self.total >= wanted)

    async def everybody(self, writers: int, since: float) -> float:
        """Wait until each writer had a write acknowledged, and return how long after `since` that was."""

        firsts: dict[str, float] = {}
        async with self._advanced:
            while len(firsts) < writers:
                for writer, moment in self._succeeded.items():
                    if moment > since:
                        firsts.setdefault(writer, moment)
                if len(firsts) < writers:
                    await self._advanced.wait()
        return max(firsts.values()) - since

    def out_of_order(self) -> int:
        """Count writes with a revision not above those of all writes that were answered before they were sent."""
        wrong = 0
        for writes in self.revisions.values():
            answered = sorted((end, revision) for _, end, revision in writes)
            position, highest = 0, 0
            for sent, _, revision in sorted(writes):
                while position < len(answered) and answered[position][0] <= sent:
                    highest = max(highest, answered[position][1])
                    position += 1
                wrong += revision <= highest
            wrong += len(writes) - len({revision for _, _, revision in writes})
        return wrong

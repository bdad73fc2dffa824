"""A reader that applies pages of changes as fast as they come, and holds them against what writers were told."""

from dataclasses import dataclass, field
from typing import Any, Final

from tests.faults.client import Client

PREFIX: Final = "/api/me"
LIMITS: Final = (500, 7, 50)
"""Changes on a page, in turn from one pull to the next."""


@dataclass
class Told:
    """What writers were told, in the order in which they were: a name of a task, and a revision that it had then."""

    writes: list[tuple[str, int]] = field(default_factory=list)
    latest: dict[str, int] = field(default_factory=dict)

    def note(self, name: str, revision: int) -> None:
        self.writes.append((name, revision))
        self.latest[name] = max(revision, self.latest.get(name, 0))


class Follower:
    """A copy that follows `next` from page to page, then goes on from `revision`; `problems` names what went wrong."""

    def __init__(self, client: Client, told: Told) -> None:
        self.copy: dict[str, dict[str, Any]] = {}
        self.since = 0
        self.pulls = self.pages = self.changes = 0
        self.problems: list[str] = []
        self._client = client
        self._told = told
        self._checked = 0
        self._began: int | None = None
        """The user's revision then: a copy from nothing is not told what was deleted before that."""

        self._newest: dict[str, int] = {}
        self._last = 0

    async def pull(self) -> None:
        """Read pages until there is no next one; whatever was told before the first is in the copy after the last."""
        told = len(self._told.writes)
        path = f"/tasks/changes?since={self.since}&limit={LIMITS[self.pulls % len(LIMITS)]}"
        while path:
            answer = await self._client.request("GET", path)
            if answer.status != 200:
                self.problems.append(f"{path} is answered with {answer.code}")
                return
            page = answer.json()
            if self._began is None:
                self._began = int(answer.headers["etag"].strip('W/"'))
            self._apply(page["changes"])
            self.pages += 1
            path = (page["next"] or "").removeprefix(PREFIX)
        if page["revision"] < self._last:
            self.problems.append(f"{page['revision']} comes after {self._last}")
        self.since = page["revision"]
        self.pulls += 1
        for name, revision in self._told.writes[self._checked : told]:
            if self._newest.get(name, 0) < revision and revision > (self._began or 0):
                self.problems.append(f"revision {revision} of {name} was missed before {self.since}")
        self._checked = told

    def _apply(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            name, revision = row["uid"], row["revision"]
            if revision <= self._last:
                self.problems.append(f"{revision} of {name} comes after {self._last}")
            self._last = self._newest[name] = revision
            self.changes += 1
            if row.pop("deleted_at") is None:
                self.copy[name] = row
            else:
                self.copy.pop(name, None)

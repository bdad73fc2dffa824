"""A device of a person: a copy of the tasks, what waits to be sent, and answers that get lost on the way."""

import uuid
from typing import Any, Final

import httpx

TASKS: Final = "/api/me/tasks"
WRITTEN: Final = {200, 201, 204}
GONE: Final = {404, 410}
"""Somebody else has deleted the task; that is how a delete of one that is deleted ends, too."""


class Request:
    """A write that waits to be sent, and may be sent several times."""

    def __init__(self, method: str, path: str, json: Any = None, key: str | None = None) -> None:
        self.method = method
        self.path = path
        self.json = json
        self.headers = {} if key is None else {"Idempotency-Key": key}

    def send(self, client: httpx.Client) -> httpx.Response:
        answer = client.request(self.method, self.path, json=self.json, headers=self.headers)
        assert answer.status_code in WRITTEN | GONE, (self.method, self.path, answer.text)
        return answer


class Device:
    """Its clock is the revision that its copy has come to; pages are small, so that much happens between them."""

    def __init__(self, client: httpx.Client, limit: int) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.since = 0
        self.queue: list[Request] = []
        self._client = client
        self._limit = limit
        self._next: str | None = None
        self._seen: set[str] | None = None
        """What has come so far of a copy of everything, to drop the rest at its end."""

    def create(self, title: str) -> None:
        self.queue.append(Request("POST", TASKS, {"title": title}, str(uuid.uuid4())))

    def write(self, method: str, uid: str, ending: str = "", json: Any = None) -> None:
        self.queue.append(Request(method, f"{TASKS}/{uid}{ending}", json))

    def send_one(self, *, lost: bool) -> None:
        """Send what has waited longest; if the answer is lost it stays, and is sent again."""
        if self.queue:
            self.queue[0].send(self._client)
            if not lost:
                del self.queue[0]

    def pull_page(self) -> None:
        """Ask for one page and apply it; a device that starts again forgets at the end what it has not been told."""
        if self._next is None:
            self._seen = None if self.since else set()
        answer = self._client.get(self._next or f"{TASKS}/changes?since={self.since}&limit={self._limit}")
        if answer.status_code == 410:
            self._next, self.since = None, 0
            return
        assert answer.status_code == 200, answer.text
        page = answer.json()
        revisions = [row["revision"] for row in page["changes"]]
        assert revisions == sorted(set(revisions))
        for row in page["changes"]:
            self._apply(row)
        self._next = page["next"]
        if self._next is None:
            if self._seen is not None:
                self.rows = {uid: row for uid, row in self.rows.items() if uid in self._seen}
            self.since = page["revision"]

    def pull(self) -> None:
        """Pull until a copy is complete."""
        self.pull_page()
        while self._next is not None or (self.since == 0 and self.rows):
            self.pull_page()

    def send_all(self) -> None:
        while self.queue:
            self.send_one(lost=False)

    def _apply(self, row: dict[str, Any]) -> None:
        uid = row["uid"]
        if row.pop("deleted_at") is None:
            self.rows[uid] = row
            if self._seen is not None:
                self._seen.add(uid)
        else:
            self.rows.pop(uid, None)
            if self._seen is not None:
                self._seen.discard(uid)

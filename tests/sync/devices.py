"""A device of a person: a copy of the tasks, what waits to be sent, and answers that get lost on the way."""

from typing import Any, Final

import httpx

TASKS: Final = "/api/me/tasks"
WRITTEN: Final = {200, 201, 204}
REFUSED: Final = {"task_not_found", "task_deleted", "stale_revision", "batch_conflict", "idempotency_key_reused"}
"""Somebody else was there before: has deleted or changed the task, or used its name."""


class Request:
    """A write that waits to be sent, and may be sent several times."""

    def __init__(self, method: str, path: str, json: Any = None, **headers: str) -> None:
        self.method = method
        self.path = path
        self.json = json
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent twice and be carried out once: a batch, or a create with a name."""
        return self.path.endswith("/batch") or (self.method == "POST" and self.path == TASKS)

    def send(self, client: httpx.Client) -> httpx.Response:
        answer = client.request(self.method, self.path, json=self.json, headers=self.headers)
        assert answer.status_code in WRITTEN or answer.json()["code"] in REFUSED, (
            self.method,
            self.path,
            self.json,
            answer.text,
        )
        return answer


class Device:
    """Its clock is the revision that its copy has come to; pages are small, so that much happens between them."""

    def __init__(self, client: httpx.Client, limit: int) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.names: list[str] = []
        """What it has ever called a task, or heard that one is called; some are deleted since."""

        self.since = 0
        self.queue: list[Request] = []
        self._client = client
        self._limit = limit
        self._next: str | None = None
        self._seen: set[str] | None = None
        """What has come so far of a copy of everything, to drop the rest at its end."""

    def name(self) -> str:
        """Name a new task."""
        uid = f"of-device-{self._limit}-{len(self.names)}"
        self.names.append(uid)
        return uid

    def create(self, title: str, *, in_body: bool = False) -> None:
        uid = self.name()
        if in_body:
            self.queue.append(Request("POST", TASKS, {"title": title, "uid": uid}))
        else:
            self.queue.append(Request("POST", TASKS, {"title": title}, Idempotency_Key=uid))

    def write(self, method: str, name: str | int, ending: str = "", json: Any = None, **headers: str) -> None:
        self.queue.append(Request(method, f"{TASKS}/{name}{ending}", json, **headers))

    def batch(self, operations: list[dict[str, Any]], *, atomic: bool) -> None:
        self.queue.append(Request("POST", f"{TASKS}/batch", {"atomic": atomic, "operations": operations}))

    def send_one(self, *, lost: bool) -> None:
        """Send what has waited longest; if the answer is lost it stays, and is sent again."""
        if self.queue:
            self.queue[0].send(self._client)
            if not lost:
                del self.queue[0]

    def send_twice(self) -> None:
        """Send what has waited longest, and again at once, as after an answer that was lost: it is carried out once."""
        if self.queue and self.queue[0].repeatable:
            first, again = (self.queue[0].send(self._client) for _ in range(2))
            del self.queue[0]
            if first.status_code in WRITTEN and "results" not in first.json():
                assert again.json() == first.json()
                assert again.headers["Idempotent-Replayed"] == "true"
            elif "results" in first.json():
                assert again.json()["revision"] == first.json()["revision"]
                assert [each["task"] for each in again.json()["results"]] == [
                    each["task"] for each in first.json()["results"]
                ]
                if all(each["status"] == "ok" for each in first.json()["results"]):
                    assert again.json() == first.json()

    def pull_page(self) -> bool:
        """Ask for one page and apply it, and tell whether the copy is complete with it.

        A device that starts again forgets at the end what it has not been told.
        """
        if self._next is None:
            self._seen = None if self.since else set()
        answer = self._client.get(self._next or f"{TASKS}/changes?since={self.since}&limit={self._limit}")
        if answer.status_code == 410:
            self._next, self.since = None, 0
            return False
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
        return self._next is None

    def pull(self) -> None:
        """Pull until a copy is complete: also an empty one begins again after a 410."""
        while not self.pull_page():
            pass

    def send_all(self) -> None:
        while self.queue:
            self.send_one(lost=False)

    def _apply(self, row: dict[str, Any]) -> None:
        uid = row["uid"]
        if uid not in self.names:
            self.names.append(uid)
        if row.pop("deleted_at") is None:
            self.rows[uid] = row
            if self._seen is not None:
                self._seen.add(uid)
        else:
            self.rows.pop(uid, None)
            if self._seen is not None:
                self._seen.discard(uid)

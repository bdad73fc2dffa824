"""A client that remembers everything it was ever told, and notices when it is told something else."""

import secrets
from typing import Any

import httpx


class Client:
    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30)
        self.told: dict[tuple[str, str], Any] = {}
        """What each path was under each ETag."""
        self.next_pages: list[tuple[str, list[Any]]] = []
        """Each `next` link, and the page that had it."""
        self.copies: list[tuple[int, dict[int, Any]]] = []
        """All tasks by id, and the revision to ask for changes since."""
        self.keys: dict[str, Any] = {}
        """The body of each create, by its key."""

    def close(self) -> None:
        self._http.close()

    @property
    def ids(self) -> set[int]:
        """Of all tasks that it has ever seen."""
        return {int(path.rpartition("/")[2]) for path, _ in self._tasks}

    @property
    def _tasks(self) -> dict[tuple[str, str], Any]:
        return {(path, tag): task for (path, tag), task in self.told.items() if isinstance(task, dict)}

    def get(self, path: str, **headers: str) -> httpx.Response:
        answer = self._http.get(path, headers=headers)
        if answer.status_code == 200:
            self._remember(path, answer)
        return answer

    def create(self, title: str) -> str:
        """Create a task and return its path."""
        key, body = secrets.token_urlsafe(16), {"title": title, "description": "Some more words. " * 9}
        answer = self._http.post("/api/me/tasks", json=body, headers={"Idempotency-Key": key})
        assert answer.status_code == 201, answer.text
        self.keys[key] = body
        path = f"/api/me/tasks/{answer.json()['id']}"
        self._remember(path, answer)
        return path

    def change(self, path: str, **headers: str) -> httpx.Response:
        answer = self._http.patch(f"{path}/complete", headers=headers)
        if answer.status_code == 200:
            self._remember(path, answer)
        return answer

    def delete(self, path: str) -> None:
        assert self._http.delete(path).status_code == 204

    def erase(self) -> None:
        assert self._http.delete("/api/me").status_code == 204

    def look(self) -> list[Any]:
        """Open the list as a whole and in pages, and each task in it."""
        tasks: list[Any] = self.get("/api/me/tasks").json()
        path: str | None = "/api/me/tasks?limit=2"
        while path:
            page = self.get(path)
            path = page.links["next"]["url"] if "next" in page.links else None
            if path:
                self.next_pages.append((path, page.json()))
        for task in tasks:
            self.get(f"/api/me/tasks/{task['id']}")
        copied = self._http.get("/api/me/tasks/changes").json()
        self.copies.append((copied["revision"], _applied({}, copied["changes"])))
        return tasks

    def assert_is_told_nothing_wrong(self) -> None:
        for (path, tag), before in list(self.told.items()):
            asked = self.get(path, **{"If-None-Match": tag})
            now = self.get(path)
            if asked.status_code == 304:
                assert now.json() == before, (path, tag)
            else:
                assert asked.status_code == now.status_code, path
                assert asked.status_code == 404 or asked.json() == now.json(), path
        for path, page in self.next_pages:
            last = page[-1]
            rest = [task for task in self.look_at_all() if _older(task, last)]
            assert self.get(path).json() == rest[:2]

    def assert_each_copy_becomes_the_list_or_is_given_up(self) -> None:
        now = {task["id"]: task for task in self.look_at_all()}
        for revision, copy in self.copies:
            answer = self._http.get(f"/api/me/tasks/changes?since={revision}&limit=5000")
            if answer.status_code == 410:
                assert answer.json()["code"] == "changes_gone"
            else:
                assert _applied(copy, answer.json()["changes"]) == now, revision

    def assert_each_key_makes_one_task(self) -> None:
        """Whether the first create with it was lost or not."""
        for key, body in self.keys.items():
            answers = [self._http.post("/api/me/tasks", json=body, headers={"Idempotency-Key": key}) for _ in range(2)]
            if answers[0].status_code == 410:
                assert answers[0].json()["code"] == "task_deleted"
                continue
            first, second = (answer.json() for answer in answers)
            assert (first, answers[1].headers["Idempotent-Replayed"]) == (second, "true")
            assert [task["id"] for task in self.look_at_all() if task["uid"] == key] == [first["id"]]
            if "Idempotent-Replayed" not in answers[0].headers:
                assert first["id"] not in self.ids

    def assert_overwrites_nothing_unseen(self) -> None:
        """A conditional write succeeds only on the task as it was seen with that ETag."""
        for (path, tag), before in self._tasks.items():
            now = self.get(path)
            written = self.change(path, **{"If-Match": tag})
            assert written.status_code in ({200} if now.is_success and now.json() == before else {404, 412}), path

    def look_at_all(self) -> list[Any]:
        tasks: list[Any] = self.get("/api/me/tasks").json()
        return tasks

    def _remember(self, path: str, answer: httpx.Response) -> None:
        before = self.told.setdefault((path, answer.headers["ETag"]), answer.json())
        assert answer.json() == before, (path, answer.headers["ETag"])


def _applied(copy: dict[int, Any], changes: list[Any]) -> dict[int, Any]:
    """Return a copy after some changes."""
    alive = {task["id"]: task for task in changes if task.pop("deleted_at") is None}
    return {number: task for number, task in copy.items() if number not in {each["id"] for each in changes}} | alive


def _older(task: Any, other: Any) -> bool:
    return bool((task["created_at"], task["id"]) < (other["created_at"], other["id"]))

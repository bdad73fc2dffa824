"""A client that remembers everything it was ever told, and notices when it is told something else."""

from typing import Any

import httpx


class Client:
    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=10)
        self.told: dict[tuple[str, str], Any] = {}
        """What each path was under each ETag."""
        self.next_pages: list[tuple[str, list[Any]]] = []
        """Each `next` link, and the page that had it."""

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
        answer = self._http.post("/api/me/tasks", json={"title": title, "description": "Some more words. " * 9})
        assert answer.status_code == 201, answer.text
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


def _older(task: Any, other: Any) -> bool:
    return bool((task["created_at"], task["id"]) < (other["created_at"], other["id"]))

"""People at work on their tasks, for load tests of one's own deployment; docs/load-testing.md says how to run it.

Each simulated person has a token, opens the list, works on one task, polls, and cleans up.
"""

import os
import random
import time
from itertools import count, cycle
from pathlib import Path
from typing import Any

import jwt
from locust import HttpUser, SequentialTaskSet, task
from locust.exception import InterruptTaskSet

USERS = int(os.environ.get("LOAD_USERS", "100"))
TASKS = int(os.environ.get("LOAD_TASKS", "20"))
THINK_SECONDS = float(os.environ.get("LOAD_THINK_SECONDS", "2"))
TOKEN_SECONDS = 24 * 3600
POLLS = 3
LIST = "/api/me/tasks"
UNAVAILABLE = {429, 503}


def tokens() -> list[str]:
    """Read LOAD_TOKEN_FILE, or sign tokens for LOAD_USERS users with BETTER_AUTH_SECRET."""
    if file := os.environ.get("LOAD_TOKEN_FILE"):
        return Path(file).read_text().split()
    secret = os.environ.get("BETTER_AUTH_SECRET")
    if not secret:
        raise SystemExit("Set BETTER_AUTH_SECRET, or LOAD_TOKEN_FILE to a file with one token per line.")
    now = int(time.time())
    claims = {"iat": now, "exp": now + TOKEN_SECONDS}
    return [jwt.encode({"sub": f"load-{number}", **claims}, secret, "HS256") for number in range(USERS)]


ISSUED = cycle(tokens())
NUMBERS = count(1)


class Journey(SequentialTaskSet):
    """One visit, step by step, with a pause to think between the steps."""

    user: "Person"

    def on_start(self) -> None:
        """See to the tasks to start with, under names of their own: they are no part of the work."""
        self.etag = ""
        self.task_id = 0
        for _ in range(TASKS - len(self.user.ask("GET", LIST, "seed: list").json())):
            self.user.create("seed: create")

    @task
    def open_the_list(self) -> None:
        answer = self.user.ask("GET", LIST, "list")
        self.etag = answer.headers["ETag"]

    @task
    def filter_it(self) -> None:
        self.user.ask("GET", f"{LIST}?status=pending&priority=HIGH&sort=due_date", "list, filtered")

    @task
    def create_a_task(self) -> None:
        self.task_id = self.user.create()

    @task
    def read_it(self) -> None:
        self.user.ask("GET", f"{LIST}/{self.task_id}", "one task")

    @task
    def change_it(self) -> None:
        self.user.ask(
            "PATCH", f"{LIST}/{self.task_id}", "patch", json={"title": "Call back tomorrow", "priority": "LOW"}
        )

    @task
    def complete_it(self) -> None:
        self.user.ask("PATCH", f"{LIST}/{self.task_id}/complete", "complete", json={"completed": True})

    @task
    def look_again_and_again(self) -> None:
        for _ in range(POLLS):
            answer = self.user.ask("GET", LIST, "list, If-None-Match", headers={"If-None-Match": self.etag})
            self.etag = answer.headers["ETag"]
            self.wait()  # type: ignore[no-untyped-call]  # Locust leaves it without types

    @task
    def delete_it(self) -> None:
        self.user.ask("DELETE", f"{LIST}/{self.task_id}", "delete")

    @task
    def see_the_numbers(self) -> None:
        self.user.ask("GET", "/api/me/stats", "stats")


class Person(HttpUser):
    """Somebody with a token and a list of at least LOAD_TASKS tasks."""

    tasks = [Journey]  # noqa: RUF012 - Locust reads it from the class

    def wait_time(self) -> float:
        return random.uniform(0.5, 1.5) * THINK_SECONDS  # noqa: S311 - nothing secret

    def on_start(self) -> None:
        self.client.headers["Authorization"] = f"Bearer {next(ISSUED)}"

    def create(self, name: str = "create") -> int:
        body = {"title": f"Task {next(NUMBERS)}", "priority": "HIGH", "tags": ["load"], "due_date": "2030-01-01"}
        created: dict[str, Any] = self.ask("POST", LIST, name, json=body).json()
        return int(created["id"])

    def ask(self, method: str, path: str, name: str, **options: Any) -> Any:
        """Send a request until it is answered, as a good client does: after a refusal it waits as long as Retry-After
        says, and it never repeats a write whose outcome is unknown. Refusals are failures; any other ends the visit.
        """
        while True:
            with self.client.request(method, path, name=name, catch_response=True, **options) as answer:
                if answer.ok:
                    return answer
                problem = answer.json() if "json" in answer.headers.get("Content-Type", "") else {}
                code = problem.get("code", "no problem body")
                answer.failure(f"{answer.status_code} {code}")
                wait = answer.headers.get("Retry-After", "")
                if answer.status_code not in UNAVAILABLE or not wait.isdecimal() or code == "outcome_unknown":
                    raise InterruptTaskSet(reschedule=False)  # type: ignore[no-untyped-call]
            time.sleep(int(wait))  # Locust has made it a pause of this person only

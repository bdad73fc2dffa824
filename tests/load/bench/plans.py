"""The requests of each work item, written once into files that wrk replays; shuffled the same way in every run."""

import json
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tests.load.bench.seed import REVISION, TASKS_PER_USER, User

PAGE: Final = f"?limit={TASKS_PER_USER}"
FILTERED: Final = f"?status=pending&tag=work&limit={TASKS_PER_USER}"
TASKS_PER_PLAN: Final = 10
MIXED_REQUESTS: Final = 6000
WRITES_IN_TEN: Final = 1
NOTHING_NEW: Final = f"/changes?since={REVISION}"
ONE_IS_NEW: Final = f"/changes?since={REVISION - 2}"
"""The newest task has the revision between the two."""

ANY_TAG: Final = '"1"'
NEW_TASK: Final = {
    "title": "Write down what was agreed on",
    "description": "And send it to everybody who was there",
    "tags": ["work"],
    "due_date": "2027-03-01T10:00:00Z",
}


@dataclass(frozen=True)
class Data:
    """The seeded users by what happens to them."""

    readers: list[User]
    writers: list[User]
    mixed: list[User]
    """The last of them is never written to, so that its list can be checked."""


@dataclass(frozen=True)
class Request:
    """One line of a plan."""

    method: str
    path: str
    user: User
    body: str = ""
    tag: str = ""

    def __str__(self) -> str:
        return f"{self.method}\t{self.path}\t{self.user.token}\t{self.tag}\t{self.body}"


def text(requests: Iterable[Request]) -> str:
    """Write a plan as the scripts in lua/ read it."""
    return "".join(f"{request}\n" for request in requests)


def lists(data: Data) -> Iterator[Request]:
    for user in data.readers:
        yield Request("GET", user.path + PAGE, user)


def conditional_lists(data: Data, tags: Mapping[str, str]) -> Iterator[Request]:
    """Ask for the lists that `tags` names by user; those who have no tags get one that means nothing to them."""
    for user in data.readers:
        yield Request("GET", user.path + PAGE, user, tag=tags.get(user.id, ANY_TAG))


def changes(data: Data, since: str) -> Iterator[Request]:
    """Ask as clients do that sync: from the revision that they have come to, without If-None-Match."""
    for user in data.readers:
        yield Request("GET", user.path + since, user)


def filtered_lists(data: Data) -> Iterator[Request]:
    for user in data.readers:
        yield Request("GET", user.path + FILTERED, user)


def single_tasks(data: Data) -> Iterator[Request]:
    for place in range(TASKS_PER_PLAN):
        for user in data.readers:
            yield Request("GET", f"{user.path}/{user.task_ids[place]}", user)


def creations(data: Data) -> Iterator[Request]:
    for user in data.writers:
        yield Request("POST", user.path, user, json.dumps(NEW_TASK))


def patches(data: Data) -> Iterator[Request]:
    """Change titles, to another one the second time round, for to the same would be no change at all."""
    for title in ("Call the others back", "Call the others back tomorrow"):
        for place in range(TASKS_PER_PLAN):
            for user in data.writers:
                yield Request("PATCH", f"{user.path}/{user.task_ids[place]}", user, json.dumps({"title": title}))


def toggles(data: Data) -> Iterator[Request]:
    for place in range(TASKS_PER_PLAN):
        for user in data.writers:
            yield Request("PATCH", f"{user.path}/{user.task_ids[place]}/complete", user)


def mix(data: Data) -> Iterator[Request]:
    """Nine reads, lists and single tasks alike, to one write, over all mixed users."""
    chance = random.Random(1)  # noqa: S311 - the same plan for everybody
    for number in range(MIXED_REQUESTS):
        if number % 10 < WRITES_IN_TEN:
            user = chance.choice(data.mixed[:-1])
            body = json.dumps({"description": f"Changed by request {number}"})
            yield Request("PATCH", f"{user.path}/{chance.choice(user.task_ids)}", user, body)
        else:
            user = chance.choice(data.mixed)
            yield Request(
                "GET", user.path + PAGE if number % 2 else f"{user.path}/{chance.choice(user.task_ids)}", user
            )

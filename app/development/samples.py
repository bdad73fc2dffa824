"""Believable tasks from a small list of words: the same ones for the same number and the same moment."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from random import Random
from typing import Any, Final

from app.models import Task

ERRANDS: Final[Mapping[str, Mapping[str, Sequence[str]]]] = {
    "home": {
        "Clean": ("the kitchen", "the bathroom", "the windows", "the fridge", "the balcony", "the oven", "the stairs"),
        "Repair": ("the kitchen tap", "the squeaking door", "the bicycle", "the bedside lamp", "the garden fence"),
        "Buy": ("milk and bread", "light bulbs", "washing powder", "a birthday present", "stamps", "coffee", "a rug"),
        "Water": ("the plants", "the garden", "the neighbours' flowers"),
        "Sort": ("the bookshelf", "the winter clothes", "the boxes in the cellar", "the photos of the summer"),
    },
    "work": {
        "Prepare": ("the weekly report", "the demo", "the budget meeting", "slides for the conference", "the workshop"),
        "Review": ("the pull requests", "the contract", "the design draft", "last month's figures", "the job offers"),
        "Answer": ("the customer's questions", "the support tickets", "the mail about the invoice", "the survey"),
        "Plan": (
            "the next sprint",
            "the team day",
            "the database migration",
            "the release",
            "the move to the new office",
        ),
        "Update": ("the documentation", "the roadmap", "the dependencies", "the price list", "the status page"),
    },
    "health": {
        "Book": ("the dentist", "an eye test", "the yearly check-up", "a massage", "a flu shot"),
        "Go to": ("the gym", "the swimming pool", "yoga", "the climbing hall", "bed before eleven"),
        "Cook": ("lentil soup", "something green", "for the whole week", "the new curry"),
    },
    "money": {
        "Pay": ("the rent", "the electricity bill", "the insurance", "the credit card", "the parking ticket"),
        "Cancel": ("the magazine", "the old phone contract", "the trial subscription"),
        "Collect": ("receipts for the tax return", "offers for a new mattress", "the deposit of the old flat"),
    },
    "learning": {
        "Read": (
            "a chapter on databases",
            "the article on caching",
            "the book from the library",
            "the accessibility guide",
        ),
        "Practise": ("Spanish", "the piano", "touch typing", "drawing hands"),
        "Watch": ("the talk on HTTP caching", "the course on statistics", "the film in Spanish"),
    },
}
FURTHER_TAGS: Final = ("urgent", "waiting", "weekend", "phone", "someday")
NOTES: Final = (
    "Ask for a quote first.",
    "Takes about half an hour.",
    "The papers are in the blue folder.",
    "Can wait until the weekend if the week gets full.",
    "Compare with what we did last time.",
)
DAYS_OLD: Final = 45
"""The oldest task was created at most so long ago."""

COMPLETED, DESCRIBED, DUE = 0.35, 0.4, 0.75
"""Shares of the tasks."""


def samples(user_id: str, revisions: Sequence[int], now: datetime, number: int | None) -> list[Task]:
    """Return one task for each of the revisions, ascending as `sort=updated` expects it, in order of their creation."""
    random = Random(number)  # noqa: S311 - nothing secret
    tags_and_titles = _tags_and_titles(random)
    drawn = sorted((_drawn(random, *next(tags_and_titles), now) for _ in revisions), key=itemgetter("created_at"))
    for values, revision in zip(sorted(drawn, key=itemgetter("updated_at")), revisions, strict=True):
        values["revision"] = revision
    return [Task(user_id=user_id, **values) for values in drawn]


def _tags_and_titles(random: Random) -> Iterator[tuple[str, str]]:
    """Yield them in any order; one comes back after all others."""
    every = [
        (tag, f"{verb} {what}") for tag, errands in ERRANDS.items() for verb, whats in errands.items() for what in whats
    ]
    while True:
        yield from random.sample(every, k=len(every))


def _drawn(random: Random, tag: str, title: str, now: datetime) -> dict[str, Any]:
    created_at = now - timedelta(days=DAYS_OLD) * random.random()
    completed = random.random() < COMPLETED
    updated_at = created_at + (now - created_at) * random.random() if completed else created_at
    return {
        "title": title,
        "description": random.choice(NOTES) if random.random() < DESCRIBED else None,
        "priority": random.choices((1, 2, 3), weights=(3, 5, 2))[0],
        "tags": [tag, *random.sample(FURTHER_TAGS, k=random.choices((0, 1, 2), weights=(5, 3, 1))[0])],
        "due_date": _due(random, now) if random.random() < DUE else None,
        "completed": completed,
        "created_at": created_at,
        "updated_at": updated_at,
    }


def _due(random: Random, now: datetime) -> datetime:
    """Around today, on the hour or half past, from 8 in the morning to 8 in the evening."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=round(random.gauss(2, 6)))
    return day + timedelta(minutes=30 * random.randint(16, 40))

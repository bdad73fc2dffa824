"""What is measured, in the order of the tables."""

import functools
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from tests.load.bench import checks, plans
from tests.load.bench.plans import Data, Request

WHOLE_LIST: Final = "the peers, who tell no changes, answer their whole list"
NO_KEYS: Final = "the peers take no notice of the key, and would create a second task"
REPLAY: Final = "replay.lua"
"""Sends what a plan says, whatever the answers are."""


@dataclass(frozen=True)
class Work:
    """One kind of request: its plan, its check, and the script that sends it."""

    key: str
    title: str
    plan: Callable[[Data], Iterable[Request]]
    check: Callable[[checks.Exchange], Awaitable[None]]
    script: str = REPLAY
    writes: bool = False
    nearest: Callable[[Data], Iterable[Request]] | None = None
    """The plan of those who do not sync, where it is another one."""

    note: str = ""
    """What is to be said about those."""

    warm_ups: int = 1
    """How many times the usual warm-up it takes until caches are as full as they will be."""


CONDITIONAL: Final = "list-304"
"""Its plan depends on the tags that a contender hands out."""

WORK: Final = (
    Work("list", "list of 50", plans.lists, checks.lists),
    Work(
        CONDITIONAL,
        "list, If-None-Match",
        lambda data: plans.conditional_lists(data, {}),
        checks.conditional_lists,
    ),
    Work(
        "changes-none",
        "changes, nothing new",
        functools.partial(plans.changes, since=plans.NOTHING_NEW),
        checks.nothing_new,
        nearest=plans.lists,
        note=WHOLE_LIST,
    ),
    Work(
        "changes-one",
        "changes, one of 50",
        functools.partial(plans.changes, since=plans.ONE_IS_NEW),
        checks.one_is_new,
        nearest=plans.lists,
        note=WHOLE_LIST,
    ),
    Work("filtered", "filtered list", plans.filtered_lists, checks.filtered_lists),
    Work("one", "one task", plans.single_tasks, checks.single_tasks),
    Work("create", "create", plans.creations, checks.creations, writes=True),
    Work(
        "create-key",
        "create with key",
        plans.creations,
        checks.keyed_creations,
        script="keys.lua",
        writes=True,
        note=NO_KEYS,
    ),
    Work("patch", "patch", plans.patches, checks.patches, writes=True),
    Work("toggle", "toggle", plans.toggles, checks.toggles, writes=True),
    Work("churn", "create + delete", plans.creations, checks.churn, script="churn.lua", writes=True),
    Work("mix", "90/10 mix, 2,000 users", plans.mix, checks.mix, writes=True, warm_ups=4),
)

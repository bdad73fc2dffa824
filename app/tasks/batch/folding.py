"""What the operations of a batch come to, without a database: operations in order, at most one written row a task."""

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from app.tasks.batch.schemas import Operation, Status
from app.tasks.batch.slot import Slot, Stored
from app.tasks.key import TaskKey


class Outcome(Struct, frozen=True):
    """What becomes of an operation; there is no slot where it names nothing that a task can be called."""

    operation: Operation
    status: Status
    slot: Slot | None = None


class Plan(Struct, frozen=True):
    """What becomes of the operations, and the slots to write, in the order in which operations first named them."""

    outcomes: Sequence[Outcome]
    writes: Sequence[Slot]
    refused: bool
    """Whether one refusal keeps all of them from being carried out."""


def fold(operations: Iterable[Operation], stored: Iterable[Stored], *, atomic: bool) -> Plan:
    """Apply operations in order to what is stored."""
    slots: dict[TaskKey, Slot] = {}
    for task in stored:
        slot = slots.setdefault(task.id, Slot(task, task.uid))  # what is named by id and by uid comes twice
        if task.uid is not None:
            slots[task.uid] = slot
    groups: dict[Slot, list[Operation]] = {}
    named: list[tuple[Operation, Slot | None]] = []
    for operation in operations:
        key = operation.key
        found = None if key is None else slots.setdefault(key, Slot(None, key if isinstance(key, str) else None))
        named.append((operation, found))
        if found is not None:
            groups.setdefault(found, []).extend([] if operation.errors else [operation])
    statuses: dict[Slot, Iterator[Status]] = {slot: iter(slot.carry_out(group)) for slot, group in groups.items()}
    outcomes = [
        Outcome(operation, "invalid" if slot is None or operation.errors else next(statuses[slot]), slot)
        for operation, slot in named
    ]
    refused = atomic and any(outcome.status != "ok" for outcome in outcomes)
    writes = [] if refused else [slot for slot in groups if slot.changed]
    return Plan(outcomes, writes, refused)

"""What the operations of a batch come to, without a database: operations in order, at most one written row a task.

Operations that would leave a task as it is are fine, whatever their `base`, so that a batch may be sent again.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from app.tasks.batch.schemas import Operation, Status
from app.tasks.key import TaskKey


class Stored(Struct, frozen=True):
    """A task as the database has it; `body` is its JSON."""

    id: int
    uid: str | None
    revision: int
    values: dict[str, Any]
    deleted: bool
    body: str


State = tuple[dict[str, Any] | None, bool]
"""The values of a task, None where there is none, and whether it is deleted."""


class Slot:
    """A task that operations name, as those so far leave it; without `values` there is none."""

    __slots__ = ("created_with", "deleted", "settled", "stored", "uid", "values")

    def __init__(self, stored: Stored | None, uid: str | None) -> None:
        self.stored = stored
        self.uid = uid
        self.values, self.deleted = self._before
        self.created_with: dict[str, Any] = {}
        self.settled = False
        """Whether all of its operations together leave the task as it is."""

    @property
    def _before(self) -> State:
        return (self.stored.values, self.stored.deleted) if self.stored else (None, False)

    @property
    def changed(self) -> bool:
        """Whether it is to be written."""
        return (self.values, self.deleted) != self._before

    def settle(self, operations: Iterable[Operation]) -> None:
        """Find out whether there is nothing to do, as when they have been carried out before."""
        state = self._before
        for operation in operations:
            state = _after(state, operation)
        self.settled = state == self._before

    def apply(self, operation: Operation) -> Status:
        """Carry out an operation, or refuse it.

        `base` is compared with what is stored: earlier operations of the same batch are the client's own.
        """
        if self.settled:
            return "ok"
        alive = self.values is not None and not self.deleted
        can_be_put = self.values is not None or self.uid is not None
        if (operation.op == "patch" and not alive) or (operation.op == "put" and not can_be_put):
            return "missing"
        state = (self.values, self.deleted)
        after = _after(state, operation)
        if after == state:
            return "ok"
        if operation.base is not None and self.stored is not None and self.stored.revision > operation.base:
            return "conflict"
        if self.values is None:
            self.created_with = operation.values
        self.values, self.deleted = after
        return "ok"


def _after(state: State, operation: Operation) -> State:
    """Return what an operation makes of a task, refused or not."""
    values, _ = state
    if operation.op == "delete":
        return values, values is not None
    kept = values or {} if operation.op == "patch" else {}
    return {**kept, **operation.values}, False


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
    for slot, group in groups.items():
        slot.settle(group)
    outcomes = [
        Outcome(operation, "invalid" if slot is None or operation.errors else slot.apply(operation), slot)
        for operation, slot in named
    ]
    refused = atomic and any(outcome.status != "ok" for outcome in outcomes)
    writes = [] if refused else [slot for slot in groups if slot.changed]
    return Plan(outcomes, writes, refused)

"""What the operations of a batch come to, without a database: operations in order, at most one written row a task.

An operation that would change nothing is fine, whatever its `base`: so a batch that is sent again does no harm.
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


class Slot:
    """A task that operations name, as those so far leave it; without `values` there is none."""

    __slots__ = ("created_with", "deleted", "stored", "uid", "values")

    def __init__(self, stored: Stored | None, uid: str | None) -> None:
        self.stored = stored
        self.uid = uid
        self.values = stored.values if stored else None
        self.created_with: dict[str, Any] = {}
        self.deleted = stored.deleted if stored else False

    @property
    def alive(self) -> bool:
        """Whether the task is there and not deleted."""
        return self.values is not None and not self.deleted

    @property
    def changed(self) -> bool:
        """Whether it is to be written."""
        before = (self.stored.values, self.stored.deleted) if self.stored else (None, False)
        return (self.values, self.deleted) != before

    def apply(self, operation: Operation) -> Status:
        """Carry out an operation, or refuse it.

        `base` is compared with what is stored: earlier operations of the same batch are the client's own.
        """
        after = self._after(operation)
        if after is None:
            return "missing"
        if after == (self.values, self.deleted):
            return "ok"
        if operation.base is not None and self.stored is not None and self.stored.revision > operation.base:
            return "conflict"
        if self.values is None:
            self.created_with = operation.values
        self.values, self.deleted = after
        return "ok"

    def _after(self, operation: Operation) -> tuple[dict[str, Any] | None, bool] | None:
        """Return the values and whether they are deleted, None where there is nothing to apply the operation to."""
        match operation.op:
            case "delete":
                return self.values, self.deleted or self.values is not None
            case "put":
                can_be_created = self.values is not None or self.uid is not None
                return (operation.values, False) if can_be_created else None
            case "patch":
                return ({**(self.values or {}), **operation.values}, False) if self.alive else None


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
    outcomes = []
    for operation in operations:
        key = operation.key
        if key is None:
            outcomes.append(Outcome(operation, "invalid"))
            continue
        slot = slots.setdefault(key, Slot(None, key if isinstance(key, str) else None))
        outcomes.append(Outcome(operation, "invalid" if operation.errors else slot.apply(operation), slot))
    refused = atomic and any(outcome.status != "ok" for outcome in outcomes)
    named = {id(outcome.slot): outcome.slot for outcome in outcomes if outcome.slot is not None}
    writes = [] if refused else [slot for slot in named.values() if slot.changed]
    return Plan(outcomes, writes, refused)

"""What a batch makes of one task, without a database.

A batch may be sent again, so operations that the task shows to have been carried out already are not carried out twice,
whatever their `base`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from app.tasks.batch.schemas import Operation, Status


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

ABSENT: State = (None, False)


class Slot:
    """A task that operations name, and what they leave it as; without `values` there is none."""

    __slots__ = ("created_with", "deleted", "stored", "uid", "values")

    def __init__(self, stored: Stored | None, uid: str | None) -> None:
        self.stored = stored
        self.uid = uid
        self.values, self.deleted = self._before
        self.created_with: dict[str, Any] = {}

    @property
    def _before(self) -> State:
        return (self.stored.values, self.stored.deleted) if self.stored else ABSENT

    @property
    def changed(self) -> bool:
        """Whether it is to be written."""
        return (self.values, self.deleted) != self._before

    def carry_out(self, operations: Sequence[Operation]) -> Sequence[Status]:
        """Carry out all operations on this task, in order, and return what becomes of each."""
        state = before = self._before
        for operation in operations:
            state = _after(state, operation)
        if state == before:
            return ["ok"] * len(operations)
        state, statuses = self._in_order(operations, before, self.stored.revision if self.stored else None)
        if state != before:
            for earlier, revision in self._earlier(operations):
                again, found = self._in_order(operations, earlier, revision)
                if again == before:
                    return found
            self.values, self.deleted = state
            if self.stored is None:
                self.created_with = next(operation.values for operation in operations if operation.op == "put")
        return statuses

    def _in_order(
        self, operations: Sequence[Operation], state: State, revision: int | None
    ) -> tuple[State, list[Status]]:
        """Begin at `state`, with that revision.

        `base` is compared with what is stored: earlier operations of the same batch are the client's own.
        """
        statuses: list[Status] = []
        for operation in operations:
            values, deleted = state
            alive = values is not None and not deleted
            after = _after(state, operation)
            if (operation.op == "patch" and not alive) or (
                operation.op == "put" and values is None and self.uid is None
            ):
                statuses.append("missing")
            elif after != state and revision is not None and operation.base is not None and revision > operation.base:
                statuses.append("conflict")
            else:
                state = after
                statuses.append("ok")
        return state, statuses

    def _earlier(self, operations: Sequence[Operation]) -> Iterator[tuple[State, int | None]]:
        """Yield how the task may have been when it met the same operations before, if some were refused then.

        Without `base` nothing depends on that: the operations come to the same each time.
        """
        if self.stored is None or len(operations) == 1:
            return
        bases = {operation.base for operation in operations if operation.base is not None}
        if not bases:
            return
        if all(isinstance(operation.key, str) for operation in operations):  # before there was a task, it had no id
            yield ABSENT, None
        for revision in (None, *(base + 1 for base in sorted(bases) if base < self.stored.revision)):
            yield (self.stored.values, False), revision
            yield (self.stored.values, True), revision


def _after(state: State, operation: Operation) -> State:
    """Return what an operation makes of a task, refused or not."""
    values, _ = state
    if operation.op == "delete":
        return values, values is not None
    kept = values or {} if operation.op == "patch" else {}
    return {**kept, **operation.values}, False

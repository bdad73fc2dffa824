"""What batches promise, as plainly as it can be said: one operation after the other on a list of tasks."""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from app.errors import FieldError
from app.tasks.batch.schemas import Operation
from app.tasks.batch.slot import Stored


@dataclass
class Row:
    id: int | None
    uid: str | None
    revision: int | None
    values: dict[str, Any] = field(default_factory=dict)
    deleted: bool = False

    @property
    def contents(self) -> tuple[Any, ...]:
        return (self.uid, sorted(self.values.items()), self.deleted)


def rows_of(stored: Iterable[Stored]) -> list[Row]:
    return [Row(task.id, task.uid, task.revision, dict(task.values), task.deleted) for task in stored]


class Model:
    """Applies operations to rows; `statuses` has what became of each, `rows` what is there then.

    Without `repeats` it does not ask whether they have been applied before.
    """

    def __init__(
        self, rows: Sequence[Row], operations: Sequence[Operation], *, atomic: bool, repeats: bool = True
    ) -> None:
        self.before = deepcopy(list(rows))
        self.rows = deepcopy(list(rows))
        self.statuses: list[str] = []
        done = self._done(operations) if repeats else []
        told = self._told(operations, done) if repeats else {}
        for operation in operations:
            self.statuses.append(told.get(id(operation)) or self._status(operation, done))
        if atomic and set(self.statuses) - {"ok"}:
            self.rows = deepcopy(self.before)

    @property
    def written(self) -> list[Row]:
        """The rows that are other ones than before."""
        return [row for number, row in enumerate(self.rows) if [row] != self.before[number : number + 1]]

    def _find(self, key: Any) -> Row | None:
        return next((row for row in self.rows if key in (row.id, row.uid)), None)

    def _groups(self, operations: Sequence[Operation]) -> dict[Any, list[Operation]]:
        groups: dict[Any, list[Operation]] = {}
        for operation in operations:
            if operation.key is not None and not operation.errors:
                row = self._find(operation.key)
                groups.setdefault(operation.key if row is None else row.id, []).append(operation)
        return groups

    def _told(self, operations: Sequence[Operation], done: Sequence[Any]) -> dict[int, str]:
        """What became of operations that have made a task of an earlier state what it is, some of them refused then.

        It may have been there or not, deleted or not, at any revision up to now.
        """
        told: dict[int, str] = {}
        for name, group in self._groups(operations).items():
            row = self._find(name)
            if row is None or name in done or all(each.base is None for each in group):
                continue
            if not Model([row], group, atomic=False, repeats=False).written:
                continue
            assert row.revision is not None
            earlier = [
                [Row(row.id, row.uid, revision, dict(row.values), deleted)]
                for revision in range(row.revision + 1)
                for deleted in (False, True)
            ]
            absent: list[list[Row]] = [[]] if all(isinstance(each.key, str) for each in group) else []
            for rows in [*absent, *earlier]:
                model = Model(rows, group, atomic=False, repeats=False)
                if [each.contents for each in model.rows] == [row.contents]:
                    told |= {id(each): status for each, status in zip(group, model.statuses, strict=True)}
                    break
        return told

    def _done(self, operations: Sequence[Operation]) -> list[Any]:
        """The tasks that their operations, carried out at any cost, leave as they are."""
        done = []
        for name, group in self._groups(operations).items():
            row = self._find(name)
            contents = None if row is None else (row.values, row.deleted)
            was = deepcopy(contents)
            for operation in group:
                if operation.op == "put":
                    contents = (operation.values, False)
                elif operation.op == "patch":
                    contents = ({**(contents[0] if contents else {}), **operation.values}, False)
                elif contents:
                    contents = (contents[0], True)
            if contents == was:
                done.append(name)
        return done

    def _status(self, operation: Operation, done: Sequence[Any]) -> str:
        key = operation.key
        if key is None or operation.errors:
            return "invalid"
        row = self._find(key)
        if key in done or (row and row.id in done):
            return "ok"
        if operation.op == "delete":
            return "ok" if row is None or row.deleted else self._change(row, operation, {}, deleted=True)
        if operation.op == "patch":
            return "missing" if row is None or row.deleted else self._change(row, operation, operation.values)
        if row is None:
            if isinstance(key, int):
                return "missing"
            row = Row(None, key, None, {}, deleted=True)
            self.rows.append(row)
        return self._change(row, operation, operation.values)

    def _change(self, row: Row, operation: Operation, values: dict[str, Any], *, deleted: bool = False) -> str:
        if {**row.values, **values} == row.values and row.deleted == deleted:
            return "ok"
        if operation.base is not None and row.revision is not None and row.revision > operation.base:
            return "conflict"
        row.values |= values
        row.deleted = deleted
        return "ok"


BROKEN = [FieldError("title", "Must not be blank")]

"""Carries out batches: one transaction each, in at most four round trips, and none of it while another writes."""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg
from msgspec import Raw, Struct, json

from app.db.database import Database
from app.errors import FieldError
from app.models import Moved, unheard
from app.tasks.batch.errors import BatchConflict
from app.tasks.batch.folding import Outcome, Plan, fold
from app.tasks.batch.schemas import Operation, Status
from app.tasks.batch.slot import Slot, Stored
from app.tasks.batch.statements import statements
from app.tasks.fingerprint import fingerprint
from app.tasks.one_task import WRITABLE

BIGGEST_ID: Final = 2**63 - 1


class Result(Struct):
    """A BatchResult whose task is the text that PostgreSQL wrote."""

    status: Status
    task: Raw | None
    errors: Sequence[FieldError]


class Answer(Struct):
    """A BatchAnswer of such results."""

    revision: int
    results: Sequence[Result]


class BatchStore:
    """Runs batches of one user each."""

    def __init__(self, database: Database, *, priority_names: Sequence[str], moved: Moved = unheard) -> None:
        self._database = database
        self._moved = moved
        self._statements = statements(priority_names)

    async def run(self, user_id: str, operations: Sequence[Operation], *, atomic: bool) -> bytes:
        """Carry out the operations in order, and return a BatchAnswer as JSON. Raises BatchConflict."""
        keys = {operation.key for operation in operations if operation.key is not None}
        ids = [key for key in keys if isinstance(key, int) and 0 < key <= BIGGEST_ID]
        uids = [key for key in keys if isinstance(key, str)]
        batch = _Batch(operations, atomic=atomic)
        written = await self._database.decide(
            self._statements, user_id, {"user_id": user_id, "ids": ids, "uids": uids}, batch.decide
        )
        if written:
            self._moved(user_id, batch.revision)
        return batch.answer(written)


class _Batch:
    """One batch on its way: what was decided last counts, for it may have been begun more than once."""

    def __init__(self, operations: Sequence[Operation], *, atomic: bool) -> None:
        self._operations = operations
        self._atomic = atomic
        self.revision = 0
        """The user's, with whatever was written."""
        self._plan: Plan = Plan([], [], refused=False)

    def decide(self, rows: Sequence[asyncpg.Record]) -> dict[str, Any] | None:
        """Decide by what is stored, and return what to write."""
        stored = [_stored(row) for row in rows if row["id"] is not None]
        self._plan = fold(self._operations, stored, atomic=self._atomic)
        self.revision = rows[0]["user_revision"]
        if not (writes := self._plan.writes):
            return None
        start = rows[0]["start"]
        self.revision = start + len(writes)
        written = [_row(slot, revision) for revision, slot in enumerate(writes, start + 1)]
        ids = [slot.stored.id for slot in writes if slot.stored]
        return {
            "rows": json.encode(written).decode(),
            "revision": self.revision,
            "created": len(writes) - len(ids),
            "ids": ids,
        }

    def answer(self, written: Sequence[asyncpg.Record]) -> bytes:
        """Return the answer. Raises BatchConflict."""
        bodies = {key: row["body"] for row in written for key in (row["id"], row["uid"]) if key is not None}
        results = [_result(outcome, bodies) for outcome in self._plan.outcomes]
        if self._plan.refused:
            raise BatchConflict(self.revision, results)
        return json.encode(Answer(self.revision, results))


def _stored(row: asyncpg.Record) -> Stored:
    values = {column.name: row[column.name] for column in WRITABLE}
    return Stored(row["id"], row["uid"], row["revision"], values, row["deleted"], row["body"])


def _row(slot: Slot, revision: int) -> dict[str, Any]:
    which = {"id": slot.stored.id} if slot.stored else {"uid": slot.uid, "fingerprint": fingerprint(slot.created_with)}
    return {**which, **(slot.values or {}), "revision": revision, "deleted": slot.deleted}


def _result(outcome: Outcome, bodies: dict[Any, str]) -> Result:
    slot = outcome.slot
    body = None
    if slot is not None:
        stored = slot.stored
        body = bodies.get(stored.id if stored else slot.uid, stored.body if stored else None)
    return Result(outcome.status, None if body is None else Raw(body.encode()), outcome.operation.errors)

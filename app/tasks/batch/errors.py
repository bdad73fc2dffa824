from collections.abc import Mapping, Sequence
from typing import Any

from app.errors import Problem
from app.tasks.batch.schemas import BatchProblem


class BatchConflict(Problem):
    """An operation of an atomic batch is refused, so none was carried out; `results` says which and why."""

    status, code, detail = 409, "batch_conflict", "Nothing was written, because of operations whose status is not ok"
    details = BatchProblem

    def __init__(self, revision: int, results: Sequence[Any]) -> None:
        super().__init__(revision, results)
        self._more = {"revision": revision, "results": results}

    def more(self) -> Mapping[str, Any]:
        """Return the user's revision and the results."""
        return self._more

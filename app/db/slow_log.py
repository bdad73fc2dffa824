"""Logs statements that the database takes long for: by their names and in numbers, never with a value."""

import structlog

from app.db.observation import Execution
from app.db.observers import OfSlow

MILLI = 1000

logger = structlog.get_logger("app.db")


def slow_log(milliseconds: int) -> OfSlow:
    """Return an observer that writes a warning for each execution that took so many milliseconds or more.

    What counts is the time from sending to the answer. Waiting is told apart, and makes no statement slow: where all
    wait for a connection, nobody needs a line about each.
    """
    return OfSlow(milliseconds / MILLI, _log)


def _log(execution: Execution) -> None:
    asked = {"requests": execution.requests}
    logger.warning(
        "slow statement",
        name=execution.name,
        duration_ms=round(execution.took * MILLI, 1),
        queue_ms=round(execution.waited * MILLI, 1),
        connecting_ms=round(execution.connecting * MILLI, 1),
        size=execution.size,
        outcome=execution.outcome,
        retries=execution.retries,
        **asked if execution.request_id is None else {**asked, "request_id": execution.request_id},
    )

"""What OpenTelemetry's packages log, at most once a minute: a collector that is away is worth a line, not a flood."""

import logging
from time import monotonic
from typing import Final

import structlog

SECONDS: Final = 60.0
THEIRS: Final = logging.getLogger("opentelemetry")

logger = structlog.get_logger("app.telemetry")


class Complaints(logging.Handler):
    """Logs the first line of a minute, with the number of those before it that were left out.

    Errors are named by their class only: their texts can hold addresses with keys in them, and headers.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._next = 0.0
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record, or count it."""
        now = monotonic()
        if now < self._next:
            self._left_out += 1
            return
        self._next = now + SECONDS
        logger.warning("traces are not exported", reason=_reason(record), left_out=self._left_out)
        self._left_out = 0


def listen() -> None:
    """Take over what OpenTelemetry's packages log in this process."""
    THEIRS.handlers, THEIRS.propagate = [Complaints()], False


def ignore() -> None:
    """Log no more of it."""
    THEIRS.handlers = [logging.NullHandler()]


def _reason(record: logging.LogRecord) -> str:
    arguments = record.args if isinstance(record.args, tuple) else ()
    named = tuple(_name(argument) if isinstance(argument, BaseException) else argument for argument in arguments)
    text = str(record.msg) % named if named else str(record.msg)
    error = record.exc_info[1] if record.exc_info else None
    return f"{text} ({_name(error)})" if error else text


def _name(error: BaseException) -> str:
    return type(error).__name__

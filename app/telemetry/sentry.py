"""Exceptions that nobody expected, on their way to Sentry: class and place of each, and ids to find it in the log.

Nothing that a client sent leaves the process: no request, no user, no variable, and no message of an exception, which
can quote any value.
"""

import logging
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from time import monotonic
from typing import Any, Final

from sentry_sdk import Client
from sentry_sdk.types import Event, Hint
from sentry_sdk.utils import event_from_exception

from app.settings import VERSION, Settings
from app.telemetry import ending

REPORTED: Final = {"error", "critical"}
IDS: Final = ("request_id", "trace_id")
KEPT: Final = {
    "contexts",
    "environment",
    "event_id",
    "exception",
    "level",
    "platform",
    "release",
    "sdk",
    "server_name",
    "tags",
    "timestamp",
}
MOST_PER_SECOND: Final = 10
"""Further ones are only logged: describing an exception takes about as long as answering ten requests."""


class Sentry:
    """A processor of structlog that reports what is logged as an error with its exception.

    Raises ValueError for a DSN that is none.
    """

    def __init__(self, settings: Settings) -> None:
        for name in ("sentry_sdk", "urllib3"):  # a server that is away is no news at each exception
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._client = Client(
            dsn=settings.sentry_dsn,
            environment=settings.sentry_environment,
            release=f"litestar-tasks@{VERSION}",
            default_integrations=False,
            auto_enabling_integrations=False,
            auto_session_tracking=False,
            enable_backpressure_handling=False,
            include_local_variables=False,
            max_request_body_size="never",
            max_breadcrumbs=0,
            before_send=_only_what_is_ours,
        )
        self._second = 0.0
        self._reported = 0

    def __call__(self, _logger: Any, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Pass the line on, whatever becomes of the report."""
        error = _exception(line.get("exc_info"))
        if method in REPORTED and isinstance(error, Exception) and self._may_report():
            with suppress(Exception):
                self._report(error, {name: line[name] for name in IDS if name in line})
        return line

    def _may_report(self) -> bool:
        now = monotonic()
        if now - self._second >= 1:
            self._second, self._reported = now, 0
        self._reported += 1
        return self._reported <= MOST_PER_SECOND

    def _report(self, error: Exception, ids: dict[str, str]) -> None:
        mechanism = {"type": "logging", "handled": False}
        event, hint = event_from_exception(error, client_options=self._client.options, mechanism=mechanism)
        event["tags"] = ids
        self._client.capture_event(event, hint)

    async def close(self) -> None:
        """Send what is left, if Sentry takes it at once."""
        await ending.wait_for(lambda: self._client.close(timeout=ending.SECONDS))


def _exception(exc_info: Any) -> BaseException | None:
    """Return the exception of a line in any of the forms in which logging and structlog hold it."""
    if exc_info is True:
        exc_info = sys.exc_info()
    if isinstance(exc_info, tuple):
        exc_info = exc_info[1]
    return exc_info if isinstance(exc_info, BaseException) else None


def _only_what_is_ours(event: Event, _hint: Hint) -> Event:
    """Leave out what the SDK may come to add, and the messages of exceptions."""
    kept: Any = {name: value for name, value in event.items() if name in KEPT}
    for exception in kept["exception"]["values"]:
        exception["value"] = ""
        for frame in exception.get("stacktrace", {}).get("frames", ()):
            frame.pop("vars", None)
    return kept  # type: ignore[no-any-return]  # an Event, of which only members were taken away

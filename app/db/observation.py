"""What observers learn of each statement and transaction. Where nobody observes, nothing of this is made.

Whoever measures, logs or traces the database gets an `Execution` once it has ended; no observer can break a request.
"""

from asyncio import CancelledError
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic, time_ns
from typing import Any, Final, Literal, Self

import structlog

from app.db.failures import AnswerLost, QueueFull, UserQueueFull, description

Outcome = Literal["ok", "refused", "failed", "unknown", "cancelled"]

CONTEXT: Final[ContextVar[Any]] = ContextVar("app.db.context", default=None)
"""What a trace keeps of the request that asks; it is remembered where another task runs the statement."""

REQUEST_ID: Final[ContextVar[str | None]] = ContextVar("app.db.request_id", default=None)
"""The id of the request that asks."""

NUMBER_BYTES: Final = 8

logger = structlog.get_logger("app.db")


class Execution:
    """A statement or a transaction from the moment somebody asks for it: its durations in seconds, and how it ended.

    `waited`, `connecting` and `took` add up to the whole. A request that is answered by a statement for several has no
    execution of its own; one whose such statement failed has.
    """

    __slots__ = (
        "_mark",
        "_rows",
        "began",
        "connecting",
        "contexts",
        "lent",
        "name",
        "outcome",
        "request_id",
        "requests",
        "retries",
        "took",
        "waited",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.waited = 0.0
        """Seconds for a turn of the user and for one of the worker's connections: of several, whoever came first."""
        self.connecting = 0.0
        """Seconds to open a connection and to prepare the statement, and pauses after attempts that failed."""
        self.took = 0.0
        """Seconds from sending to the answer, of all attempts together."""
        self.requests = 1
        """How many requests it is for."""
        self.retries = 0
        """Attempts without an answer before the last one, one for several requests among them."""
        self.outcome: Outcome = "ok"
        """`refused`: a queue was full. `failed`: the database said no, or nothing in time. `unknown`: AnswerLost.

        `cancelled`: nobody waits for the answer any more.
        """
        self.lent = False
        """Whether it came to its turn; before that, nothing can have been sent."""
        self.contexts: Sequence[Any] = (CONTEXT.get(),)
        """What CONTEXT was in each of the requests."""
        self.request_id = REQUEST_ID.get()
        """The request's id, where it is for one."""
        self._rows: Any = None
        self.began = self._mark = monotonic()
        """When somebody asked for it, on the monotonic clock."""

    @classmethod
    def of_several(cls, name: str, asking: Sequence["Execution"]) -> Self:
        """Begin one in the place of those that have waited for it."""
        self = cls(name)
        self.began = min(each.began for each in asking)
        self.waited = self._mark - self.began
        self.requests = len(asking)
        self.contexts = [context for each in asking for context in each.contexts]
        self.request_id = asking[0].request_id if len(asking) == 1 else None
        return self

    @property
    def started(self) -> int:
        """When somebody asked for it, in nanoseconds since 1970; right while it is being observed."""
        return time_ns() - int((monotonic() - self.began) * 1e9)

    @property
    def size(self) -> int:
        """Characters and bytes of the rows in the answer."""
        return _size(self._rows)

    def attempt(self) -> None:
        """Note that an attempt begins: a connection's turn has come, or a pause is over."""
        now = monotonic()
        if self.lent:
            self.retries += 1
            self.connecting += now - self._mark
        else:
            self.lent = True
            self.waited += now - self._mark
        self._mark = now

    def connected(self) -> None:
        """Note that the connection is ready for the statement; where it was so at once, nobody needs to."""
        now = monotonic()
        self.connecting += now - self._mark
        self._mark = now

    def answered(self, rows: Any = None) -> None:
        """Note the end of an attempt that was sent."""
        now = monotonic()
        self.took += now - self._mark
        self._mark = now
        self._rows = rows

    def asked_in_vain(self, together: "Execution") -> None:
        """Go on alone, after the end of one for several without an answer."""
        waited = together.began + together.waited - self._mark
        self.waited += waited
        self.took += together.took
        now = monotonic()
        self.connecting += now - self._mark - waited - together.took
        self.retries += 1
        self._mark = now

    def failed(self, error: BaseException) -> None:
        """Note the end without an answer."""
        rest = monotonic() - self._mark
        if self.lent:
            self.connecting += rest
        else:
            self.waited += rest
        match error:
            case QueueFull() | UserQueueFull():
                self.outcome = "refused"
            case AnswerLost():
                self.outcome = "unknown"
            case CancelledError():
                self.outcome = "cancelled"
            case _:
                self.outcome = "failed"


Observer = Callable[[Execution], None]


class Observers:
    """Tells each observer of each execution; false where there is none."""

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = tuple(observers)
        self._broken: list[Observer] = []

    def __bool__(self) -> bool:
        return bool(self._observers)

    @contextmanager
    def observing(self, name: str) -> Iterator[Execution | None]:
        """Tell of what the block does, under that name, at its end; None where nobody is to be told."""
        if not self._observers:
            yield None
            return
        execution = Execution(name)
        try:
            yield execution
        except BaseException as error:
            self.tell_of_failure(execution, error)
            raise
        self.tell(execution)

    def tell(self, execution: Execution) -> None:
        """Hand the execution to everybody; what an observer raises is logged once."""
        for observer in self._observers:
            try:
                observer(execution)
            except Exception as error:
                if observer not in self._broken:
                    self._broken.append(observer)
                    logger.exception("an observer of the database failed", **description(error))

    def tell_of_failure(self, execution: Execution, error: BaseException) -> None:
        """Hand on an execution that ends with this error."""
        execution.failed(error)
        self.tell(execution)


def _size(value: Any) -> int:
    match value:
        case None:
            return 0
        case str() | bytes():
            return len(value)
        case bool() | int() | float():
            return NUMBER_BYTES
    try:
        return sum(map(_size, value))
    except TypeError:  # a moment, an interval, a UUID
        return NUMBER_BYTES

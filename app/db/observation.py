"""What observers learn of each statement and transaction. Where nobody observes, nothing of this is made.

Whoever measures, logs or traces the database gets an `Execution` once it has ended; no observer can break a request.
"""

from asyncio import CancelledError
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf
from time import monotonic, time_ns
from typing import Any, Final, Literal, Self

import structlog
from msgspec import Struct

from app.db.failures import AnswerLost, QueueFull, UserQueueFull, description

Outcome = Literal["ok", "refused", "failed", "unknown", "cancelled"]

CONTEXT: Final[ContextVar[Any]] = ContextVar("app.db.context", default=None)
"""What a trace keeps of the request that asks; it is remembered where another task runs the statement."""

REQUEST_ID: Final[ContextVar[str | None]] = ContextVar("app.db.request_id", default=None)
"""The id of the request that asks."""

NUMBER_BYTES: Final = 8

logger = structlog.get_logger("app.db")


class Execution(Struct, gc=False, eq=False):
    """A statement or a transaction from the moment somebody asks for it: its durations in seconds, and how it ended.

    `waited`, `connecting` and `took` add up to the whole. A request that is answered by a statement for several has no
    execution of its own; one whose such statement failed has.
    """

    name: str
    began: float
    """When somebody asked for it, on the monotonic clock."""
    mark: float
    """Up to when its time is accounted for."""
    context: Any = None
    """What CONTEXT was in the request, where it is for one."""
    request_id: str | None = None
    """The request's id, where it is for one."""
    waited: float = 0.0
    """Seconds for a turn of the user and for one of the worker's connections: of several, whoever came first."""
    connecting: float = 0.0
    """Seconds to open a connection and to prepare the statement, and pauses after attempts that failed."""
    took: float = 0.0
    """Seconds from sending to the answer, of all attempts together."""
    lent: bool = False
    """Whether it came to its turn; before that, nothing can have been sent."""
    requests: int = 1
    """How many requests it is for."""
    retries: int = 0
    """Attempts without an answer before the last one, one for several requests among them."""
    outcome: Outcome = "ok"
    """`refused`: a queue was full. `failed`: the database said no, or nothing in time. `unknown`: AnswerLost.

    `cancelled`: nobody waits for the answer any more.
    """
    rows: Any = None
    """The answer."""
    others: Sequence[Any] = ()
    """What CONTEXT was in each of several requests."""

    @classmethod
    def begin(cls, name: str) -> Self:
        """Begin one for the request that asks now."""
        now = monotonic()
        return cls(name, now, now, CONTEXT.get(), REQUEST_ID.get())

    @classmethod
    def of_several(cls, name: str, asking: Sequence["Execution"]) -> Self:
        """Begin one in the place of those that have waited for it."""
        now = monotonic()
        self = cls(name, min(each.began for each in asking), now)
        self.waited = now - self.began
        self.requests = len(asking)
        self.others = [context for each in asking for context in each.contexts]
        self.request_id = asking[0].request_id if len(asking) == 1 else None
        return self

    @property
    def contexts(self) -> Sequence[Any]:
        """What CONTEXT was in each of the requests."""
        return self.others or (self.context,)

    @property
    def started(self) -> int:
        """When somebody asked for it, in nanoseconds since 1970; right while it is being observed."""
        return time_ns() - int((monotonic() - self.began) * 1e9)

    @property
    def size(self) -> int:
        """Characters and bytes of the rows in the answer."""
        return _size(self.rows)

    def attempt(self) -> None:
        """Note that an attempt begins: a connection's turn has come, or a pause is over."""
        now = monotonic()
        if self.lent:
            self.retries += 1
            self.connecting += now - self.mark
        else:
            self.lent = True
            self.waited += now - self.mark
        self.mark = now

    def connected(self) -> None:
        """Note that the connection is ready for the statement; where it was so at once, nobody needs to."""
        now = monotonic()
        self.connecting += now - self.mark
        self.mark = now

    def answered(self, rows: Any = None) -> None:
        """Note the end of an attempt that was sent."""
        now = monotonic()
        self.took += now - self.mark
        self.mark = now
        self.rows = rows

    def asked_in_vain(self, together: "Execution") -> None:
        """Go on alone, after the end of one for several without an answer."""
        waited = together.began + together.waited - self.mark
        self.waited += waited
        self.took += together.took
        now = monotonic()
        self.connecting += now - self.mark - waited - together.took
        self.retries += 1
        self.mark = now

    def failed(self, error: BaseException) -> None:
        """Note the end without an answer."""
        rest = monotonic() - self.mark
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


class OfSlow(Struct, frozen=True):
    """An observer that is told only of what took so many seconds from sending to the answer."""

    seconds: float
    observe: Observer


class OfTraced(Struct, frozen=True):
    """An observer that is told only of what is for a request with a CONTEXT."""

    observe: Observer


AnyObserver = Observer | OfSlow | OfTraced


class Observers:
    """Tells each observer of each execution that it wants to know; false where there is none.

    Nearly every request has nothing for the most of them, which is decided here without calling anybody.
    """

    def __init__(self, observers: Iterable[AnyObserver]) -> None:
        self._of_slow, self._of_traced, self._of_all = [], [], []
        for observer in observers:
            match observer:
                case OfSlow():
                    self._of_slow.append(observer)
                case OfTraced():
                    self._of_traced.append(observer.observe)
                case _:
                    self._of_all.append(observer)
        self._slow = min((observer.seconds for observer in self._of_slow), default=inf)
        self._broken: list[Observer] = []

    def __bool__(self) -> bool:
        return bool(self._of_all or self._of_slow or self._of_traced)

    @contextmanager
    def observing(self, name: str) -> Iterator[Execution | None]:
        """Tell of what the block does, under that name, at its end; None where nobody is to be told."""
        if not self:
            yield None
            return
        execution = Execution.begin(name)
        try:
            yield execution
        except BaseException as error:
            self.tell_of_failure(execution, error)
            raise
        self.tell(execution)

    def tell(self, execution: Execution) -> None:
        """Hand the execution to everybody whom it concerns; it forgets the rows then, for counting may keep it."""
        for observe in self._of_all:
            try:
                observe(execution)
            except Exception as error:  # noqa: BLE001 - it is logged, and the request goes on
                self._report(observe, error)
        if execution.took >= self._slow or execution.context is not None or execution.others:
            self._tell_some(execution)
        execution.rows = None

    def _tell_some(self, execution: Execution) -> None:
        concerned = [each.observe for each in self._of_slow if execution.took >= each.seconds]
        if any(context is not None for context in execution.contexts):
            concerned += self._of_traced
        for observe in concerned:
            try:
                observe(execution)
            except Exception as error:  # noqa: BLE001 - it is logged, and the request goes on
                self._report(observe, error)

    def _report(self, observer: Observer, error: Exception) -> None:
        """Log what an observer raises, once."""
        if observer not in self._broken:
            self._broken.append(observer)
            logger.error("an observer of the database failed", exc_info=error, **description(error))

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

"""What observers learn of each statement and transaction. Where nobody observes, nothing of this is made."""

from asyncio import CancelledError
from collections.abc import Sequence
from contextvars import ContextVar
from time import monotonic, time_ns
from typing import Any, Final, Literal, Self

from msgspec import Struct

from app.db.failures import AnswerLost, QueueFull, UserQueueFull

Outcome = Literal["ok", "refused", "failed", "unknown", "cancelled"]

CONTEXT: Final[ContextVar[Any]] = ContextVar("app.db.context", default=None)
"""What a trace keeps of the request that asks; it is remembered where another task runs the statement."""

REQUEST_ID: Final[ContextVar[str | None]] = ContextVar("app.db.request_id", default=None)
"""The id of the request that asks."""

NUMBER_BYTES: Final = 8


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

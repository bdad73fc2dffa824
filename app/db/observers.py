"""Who is told of statements and transactions.

Whoever measures, logs or traces the database gets an `Execution` once it has ended; no observer can break a request.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from math import inf

import structlog
from msgspec import Struct

from app.db.failures import description
from app.db.observation import Execution

logger = structlog.get_logger("app.db")

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

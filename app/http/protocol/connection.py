"""One connection: what is not acceptable is answered in its turn, and what lasts too long ends."""

import asyncio
from http import HTTPStatus
from typing import Any, Final

from app.errors import Problem, RequestTimeout
from app.http.answers import ENDING, STREAM
from app.http.body import INTERRUPTION
from app.http.exchange import REQUEST_IDS
from app.http.protocol import refusal
from app.http.protocol.incoming import NEVER, Incoming
from app.http.protocol.monitor import Monitor
from app.settings import Settings

LINGER_SECONDS: Final = 1.0
"""How long a refused client is listened to: to close at once would reset the connection, and lose the answer."""
REPLY_SECONDS: Final = 1.0
"""How long the application has to answer a request whose body never came."""


class Connection(Incoming):
    """uvicorn's protocol within the limits of the settings; the monitor looks at it."""

    def __init__(self, monitor: Monitor, settings: Settings, *uvicorn: Any) -> None:
        super().__init__(settings, *uvicorn)
        self._monitor = monitor
        self._cut_off = False
        self._answered: Any = None  # the cycle that was complete when we last looked, and since when
        self._idle_since = NEVER

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it too
        """Begin with a connection."""
        super().connection_made(transport)
        self._monitor.watch(self.loop)

    def fail(self, problem: Problem) -> None:
        """Read no more, and answer: at once, in turn, or by the application that waits for the body."""
        cycle = self.cycle
        self.failed = problem
        self.deadline = NEVER
        if cycle is None or cycle.response_complete:
            if not self.in_body:  # whose request has its answer
                self._refuse(problem)
            self._end(at_once=problem.status == HTTPStatus.REQUEST_TIMEOUT)
        elif self.in_body:
            cycle.keep_alive = False
            cycle.scope["state"][INTERRUPTION] = problem
            cycle.message_event.set()
            self.deadline = self.loop.time() + REPLY_SECONDS

    def _refuse(self, problem: Problem) -> None:
        request_id = next(REQUEST_IDS)
        answer = refusal.encode(problem, request_id, self.server_state.default_headers)
        self.transport.write(answer)
        self._monitor.log(refusal.line(problem, request_id, len(answer)))

    def _end(self, *, at_once: bool) -> None:
        if at_once or not self.transport.can_write_eof():
            self.transport.close()
        else:
            self.transport.write_eof()
            self.deadline = self.loop.time() + LINGER_SECONDS

    def on_response_complete(self) -> None:
        """Go on with the next request; uvicorn would set a timer after each."""
        if self.pipeline:
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if self.failed is not None:
                self.fail(self.failed)

    def shutdown(self) -> None:
        """End with the answer that is under way, or at once; an answer without an end is told to come to one."""
        super().shutdown()
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            state = cycle.scope["state"]
            state[ENDING] = True
            if STREAM in state:
                state[STREAM].end()

    def pause_writing(self) -> None:
        """Let the application wait: the client does not read as fast as it writes."""
        super().pause_writing()
        self._monitor.pause(self)

    def resume_writing(self) -> None:
        """Go on writing."""
        super().resume_writing()
        self._monitor.resume(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application."""
        self._monitor.resume(self)
        super().connection_lost(exc)

    @property
    def unsent(self) -> int:
        """Bytes of answers that wait in memory, because the client does not read them."""
        return 0 if self._cut_off else self.transport.unsent

    def cut_off(self, reason: str) -> None:
        """End the connection, and forget what is unsent."""
        self._cut_off = True
        self._monitor.count(reason)
        self.transport.abort()

    def look(self, now: float) -> int:
        """End what has lasted too long; return how many bytes are unsent."""
        if now >= self.deadline:
            self._expire(now)
        if self.transport.stalled(now) >= self.settings.send_timeout:
            self.cut_off("answer not read")
        unsent, cycle = self.unsent, self.cycle
        if unsent or cycle is None or not cycle.response_complete or self.deadline != NEVER:
            self._answered = None
        elif cycle is not self._answered:
            self._answered, self._idle_since = cycle, now
        elif now - self._idle_since >= self.timeout_keep_alive:
            self.transport.close()
        return unsent

    def _expire(self, now: float) -> None:
        waiting = self.in_body and self.flow.read_paused
        if self.failed is not None and not self.pipeline:
            self.transport.abort()
        elif self.failed is not None or waiting:  # not for the client
            self.deadline = now + REPLY_SECONDS
        elif self.in_body or self.in_head:
            self.fail(RequestTimeout())
        else:  # nothing came
            self.transport.close()

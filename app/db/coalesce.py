"""Reads that wait for the same statement are sent as one, and each gets its own answer.

A read that finds nothing in its way is sent at once and by itself. Every answer is from a statement that was sent after
its request arrived, and no request fails or ends because of another. No user is in more statements at once than there
are turns of a user: reads beyond that wait apart, and hold up nobody else's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from contextvars import Context
from time import monotonic
from typing import Any, Final

import asyncpg

from app.db import groups
from app.db.groups import Group, UserGroup
from app.db.observation import Execution
from app.db.shared import UNANSWERED, AskOnce, Request, Requests, SharedStatements, Values
from app.db.statement import USER_ID, Statement
from app.db.turns import Turns, UserTurns

TURNS_TAKEN: Final = object()
"""What a request gets instead of an answer when it has to wait for a turn of its user."""

USER: Final = USER_ID.key


class Coalescer:
    """`ask` runs a statement for one request, and again if need be; `ask_once` runs one for any number of them."""

    def __init__(
        self,
        turns: Turns,
        user_turns: UserTurns,
        ask: Callable[[Statement, Values, Execution | None], Awaitable[asyncpg.Record | None]],
        ask_once: AskOnce,
    ) -> None:
        self._turns = turns
        self._user_turns = user_turns
        self._ask = ask
        self._shared = SharedStatements(ask_once)
        self._groups: dict[Hashable, Group] = {}
        self._user_groups: dict[Hashable, UserGroup] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def fetch(
        self, loop: asyncio.AbstractEventLoop, statement: Statement, values: Values, execution: Execution | None
    ) -> asyncpg.Record | None:
        """Return the first row or None, noting what is observed. Raises QueueFull, UserQueueFull, what `ask` raises."""
        user_id = values[USER]
        key = (statement, *[values[name] for name in statement.shared])
        group = self._groups.get(key)
        if self._user_turns.are_taken(user_id):
            return await self._wait_apart(key, statement, (values, execution))
        if group is None:
            group = self._groups[key] = Group(key, statement)
        elif group.is_busy() and not self._turns.full:
            return await self._wait(loop, group, (values, execution))
        self._user_turns.take(user_id)
        sent = monotonic()
        group.sent.append(sent)
        try:
            async with self._turns:
                return await self._ask(statement, values, execution)
        finally:
            self._user_turns.release(user_id)
            self._end(group, sent)

    async def close(self) -> None:
        """Cancel the statements for several requests."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _wait(self, loop: asyncio.AbstractEventLoop, group: Group, request: Request) -> asyncpg.Record | None:
        """Wait until the group is sent."""
        user_id = request[0][USER]
        self._user_turns.waiting.add(user_id)
        answer = loop.create_future()
        group.waiting[answer] = request
        self._turns.waiting += 1
        self._watch(group)
        try:
            record = await answer
        finally:
            if group.waiting.pop(answer, None) is not None:
                self._turns.waiting -= 1
                self._user_turns.waiting.remove(user_id)
        if record is TURNS_TAKEN:
            return await self._wait_apart(group.key, group.statement, request, admitted=True)
        return await self._ask_again(group.statement, request) if record is UNANSWERED else record

    async def _wait_apart(
        self, key: Hashable, statement: Statement, request: Request, *, admitted: bool = False
    ) -> asyncpg.Record | None:
        """Wait for a turn of the user, with those of the user's requests that wait for the same statement."""
        user_id = request[0][USER]
        self._user_turns.waiting.add(user_id, admitted=admitted)
        place = (user_id, key)
        group = self._user_groups.get(place)
        if group is None or len(group.waiting) >= groups.LARGEST:
            group = self._user_groups[place] = UserGroup(statement, user_id, self._user_turns.line_up(user_id))
            group.turn.add_done_callback(lambda _: self._start(self._collect_apart(place, group)))
        answer = asyncio.get_running_loop().create_future()
        group.waiting[answer] = request
        try:
            record = await answer
        finally:
            if group.waiting.pop(answer, None) is not None:
                self._user_turns.waiting.remove(user_id)
                if not group.waiting:
                    self._close(place, group)
                    self._user_turns.leave(user_id, group.turn)
        return await self._ask_again(statement, request) if record is UNANSWERED else record

    async def _ask_again(self, statement: Statement, request: Request) -> asyncpg.Record | None:
        async with self._user_turns.turn(request[0][USER], admitted=True), self._turns.admitted():
            return await self._ask(statement, *request)

    def _watch(self, group: Group) -> None:
        """Look again when what is under way counts as slow."""
        if group.waiting and not group.watched:
            group.watched = True
            asyncio.get_running_loop().call_later(groups.SLOW, self._look, group)

    def _look(self, group: Group) -> None:
        group.watched = False
        self._advance(group)
        self._watch(group)

    def _advance(self, group: Group) -> None:
        """Send those who wait, if nothing is in their way."""
        if group.waiting and not group.is_busy():
            group.collecting = True
            self._start(self._collect(group))

    def _start(self, sending: Coroutine[Any, Any, None]) -> None:
        """Send in a task that belongs to none of the requests."""
        task = asyncio.get_running_loop().create_task(sending, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _end(self, group: Group, sent: float) -> None:
        group.sent.remove(sent)
        self._advance(group)
        if not group.sent and not group.collecting:
            del self._groups[group.key]

    def _close(self, place: Hashable, group: UserGroup) -> None:
        """Let nobody else join the group."""
        if self._user_groups.get(place) is group:
            del self._user_groups[place]

    async def _collect(self, group: Group) -> None:
        """Wait for a turn, and send those who wait by then and whose users have a turn of their own."""
        await self._turns.enter()
        group.collecting = False
        sent = monotonic()
        group.sent.append(sent)
        requests = group.take()
        self._turns.waiting -= len(requests)
        users = self._take_turns(requests)
        try:
            await self._shared.answer(group.statement, requests)
        finally:
            self._turns.release()
            for user_id in users:
                self._user_turns.release(user_id)
            self._end(group, sent)

    def _take_turns(self, requests: Requests) -> set[str]:
        """Return the users with a turn for the statement, one each; requests of the others leave `requests`."""
        users: set[str] = set()
        for answer, (values, _) in [*requests.items()]:
            user_id = values[USER]
            self._user_turns.waiting.remove(user_id)
            if user_id in users or self._user_turns.take(user_id):
                users.add(user_id)
            else:
                del requests[answer]
                if not answer.done():
                    answer.set_result(TURNS_TAKEN)
        return users

    async def _collect_apart(self, place: Hashable, group: UserGroup) -> None:
        """Wait for one of the worker's turns, now that the user's has come, and send those who wait by then."""
        await self._turns.enter()
        self._close(place, group)
        requests = group.take()
        for _ in requests:
            self._user_turns.waiting.remove(group.user_id)
        try:
            await self._shared.answer(group.statement, requests)
        finally:
            self._turns.release()
            self._user_turns.release(group.user_id)

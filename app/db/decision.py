"""Writes that the application decides about: lock a user's row, read, decide, write, commit. At most four round trips.

What is read has to be read by a statement after the one that locks: in READ COMMITTED a statement that has waited for a
lock still sees the other rows as they were before. So the lock travels with BEGIN, as one simple query.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import asyncpg
import sqlalchemy as sa
from sqlalchemy.sql.elements import ColumnElement

from app.db.connections import Connections, Lease
from app.db.failures import AnswerLost, StatementOutdated, was_refused
from app.db.statement import DIALECT, Preparation, Statement

PLACE: Final = "<user id>"
SAFE: Final = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
"""The ids of users, as tokens are checked for; nothing else is ever written into the text of a statement."""

Decide = Callable[[Sequence[asyncpg.Record]], Mapping[str, Any] | None]
"""Takes what was read, and returns the values to write with, or None for nothing to write. It may run again."""


class Lock:
    """BEGIN and a statement that locks a user's row: simple queries have no parameters, so its text has the user's id.

    `statement` makes the statement from the SQL that stands for the id.
    """

    def __init__(self, name: str, statement: Callable[[ColumnElement[str]], sa.Executable]) -> None:
        compiled = statement(sa.literal_column(f"'{PLACE}'", sa.Text)).compile(dialect=DIALECT)  # type: ignore[attr-defined]  # Executable leaves it to subclasses
        assert not compiled.params  # noqa: S101 - there is no way to send any
        self.name = name
        self.sql = str(compiled)

    def text(self, user_id: str) -> str:
        """Return what to send for a user. Raises ValueError for what is no id."""
        if not SAFE.fullmatch(user_id):
            raise ValueError("not the id of a user")
        return f"BEGIN; /* {self.name} */ {self.sql.replace(PLACE, user_id)}"


class Decision(NamedTuple):
    """The statements of one kind of write; `name` is for people."""

    name: str
    lock: Lock
    read: Statement
    write: Statement


class Decisions:
    """Runs them, on connections for which it is their turn."""

    def __init__(self, connections: Connections, preparation: Preparation) -> None:
        self._connections = connections
        self._preparation = preparation

    async def attempt(
        self, decision: Decision, user_id: str, values: Mapping[str, Any], decide: Decide
    ) -> list[asyncpg.Record]:
        """Run one once, and return what the write returned. Whatever fails before COMMIT has changed nothing.

        Raises AnswerLost where nobody can tell whether COMMIT came through.
        """
        with await self._connections.lease() as lease:
            begun = False
            try:
                # outside of the transaction: one that is rolled back would take back the setting that goes with it
                read, write = [await self._prepared(lease, each) for each in (decision.read, decision.write)]
                begun = True
                await lease.driver.execute(decision.lock.text(user_id))
                wanted = decide(await read.fetch(*decision.read.arguments(values)))
                if wanted is None:
                    await lease.driver.execute("ROLLBACK")
                    return []
                written: list[asyncpg.Record] = await write.fetch(
                    *decision.write.arguments({**wanted, "user_id": user_id})
                )
            except BaseException as error:
                outdated = self._preparation.learn_from(error, lease)
                if begun and was_refused(error):
                    await lease.driver.execute("ROLLBACK")
                if outdated:
                    raise StatementOutdated from error
                raise
            try:
                await lease.driver.execute("COMMIT")
            except BaseException as error:
                if was_refused(error):
                    raise
                raise AnswerLost from error
            return written

    async def _prepared(self, lease: Lease, statement: Statement) -> Any:
        known = lease.prepared
        prepared = known.statements.get(statement.prepared_name)
        if prepared is None or known.generation != self._preparation.generation:
            prepared = await self._preparation.prepare(lease, statement)
        return prepared

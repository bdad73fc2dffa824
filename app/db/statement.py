"""Statements are compiled once per process and prepared once per connection, as the server behind the URL allows."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, Self, cast

import asyncpg
import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.sql import visitors

from app.db.connections import Lease
from app.db.names import with_name
from app.settings import StatementMode

DIALECT: Final = PGDialect_asyncpg()  # type: ignore[no-untyped-call]  # SQLAlchemy types its dialects in part
USER_ID: Final = sa.bindparam("user_id", type_=sa.Text)
"""The user whose rows a statement may touch; every statement has it."""
KNOWN: Final = sa.bindparam("known", type_=sa.ARRAY(sa.BigInteger))
"""Revisions that the client or our own cache has a body for; the answer leaves theirs out."""
ONE: Final = sa.literal_column("1", sa.BigInteger)

STATEMENTS_PER_CONNECTION: Final = 128
"""Prepared statements kept on a connection; the oldest makes room, so that rare list shapes cannot fill the server."""

SCHEMA_CHANGED: Final = (asyncpg.InvalidCachedStatementError, asyncpg.InternalClientError, AssertionError, BufferError)
"""What asyncpg 0.32 raises if the types are no longer those that a statement was prepared with.

InternalClientError is also what a statement meets on a connection whose end is on its way; then that is closed.
"""

STATEMENT_LOST: Final = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
"""Named statements that came to another client's connection, as PgBouncer below 1.21 mixes them in transaction mode."""

PLAN_ONCE: Final = "SET plan_cache_mode = force_generic_plan"
PLAN_AS_NEEDED: Final = "RESET plan_cache_mode"

logger = structlog.get_logger("app.db")


class Statement:
    """A SQLAlchemy Core statement compiled once: its SQL with its name in it, and its parameters in order.

    `name` is for people, as in `tasks.list`; statements of several shapes share one. `prepared_name` is for the server.
    `writes` tells whether it changes anything, so that running it twice is not the same as running it once, unless it
    is `repeatable`: then it sees by itself what was done already. A read
    whose parameters in `varying` are the request's own can be sent together with others, see app/db/coalesce.py.
    """

    __slots__ = ("core", "name", "parameters", "prepared_name", "repeatable", "shared", "sql", "varying", "writes")

    def __init__(
        self,
        name: str,
        sql: str,
        parameters: tuple[str, ...],
        *,
        core: Any = None,
        varying: Sequence[sa.BindParameter[Any]] = (),
        writes: bool = False,
        repeatable: bool = False,
    ) -> None:
        self.name = name
        self.sql = with_name(name, sql)
        self.parameters = parameters
        self.core = core
        self.varying = varying
        self.shared = tuple(name for name in parameters if name not in {parameter.key for parameter in varying})
        self.writes = writes
        self.repeatable = repeatable
        self.prepared_name = f"s{blake2b(self.sql.encode(), digest_size=8).hexdigest()}"  # one text in every process

    @classmethod
    def compile(
        cls,
        name: str,
        statement: sa.Executable,
        *,
        varying: Sequence[sa.BindParameter[Any]] = (),
        repeatable: bool = False,
    ) -> Self:
        """Compile for asyncpg; every bind parameter has to be named."""
        compiled = statement.compile(dialect=DIALECT)  # type: ignore[attr-defined]  # Executable leaves it to subclasses
        parameters = tuple(compiled.positiontup or ())
        assert USER_ID.key in parameters  # noqa: S101 - no statement may reach beyond one user
        assert not any(value is not None for value in compiled.params.values())  # noqa: S101 - constants belong in the SQL
        elements = visitors.iterate(cast("sa.ClauseElement", statement))
        writes = any(isinstance(element, sa.UpdateBase) for element in elements)
        assert not (writes and varying)  # noqa: S101 - what failed together is run again
        return cls(
            name, str(compiled), parameters, core=statement, varying=varying, writes=writes, repeatable=repeatable
        )

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """Put named values into the order that the SQL numbers them in."""
        return [values[name] for name in self.parameters]


class Preparation:
    """How this process prepares statements; what it learns about its server starts a new generation of them.

    Named statements are parsed once per connection. Unnamed ones send their text along with each execution, which every
    PgBouncer accepts in transaction mode. Either way an execution is one round trip, after a first one for the types.

    On direct connections a statement is planned once, for any values: the plans that tests/db/test_plans.py asserts.
    Left to itself PostgreSQL plans some lists anew each time, and may read the whole table for a user who owns much of
    it. A pooler would pass the setting on to others; docs/scaling.md has the same for a role.
    """

    def __init__(self, mode: StatementMode, *, pooled: bool) -> None:
        self.named = not pooled if mode == "auto" else mode == "named"
        self.generation = 0
        self.distributed = False
        """Whether the server refuses plans that need several shards, as a Citus coordinator does."""

        self._plan_cache_mode = None if pooled else PLAN_ONCE

    async def prepare(self, lease: Lease, statement: Statement) -> Any:
        """Return asyncpg's prepared statement, and keep it on the connection."""
        generation = self.generation  # others may learn something meanwhile
        known = lease.prepared
        if known.generation != generation:
            known.statements.clear()
            if self._plan_cache_mode:
                await lease.driver.execute(self._plan_cache_mode)
            known.generation = generation
        if len(known.statements) >= STATEMENTS_PER_CONNECTION:
            del known.statements[next(iter(known.statements))]
        name, text = statement.prepared_name, statement.sql
        if generation:  # a pooler would answer the same text with the plan of the generation before
            name, text = f"{name}_{generation}", f"{text} /* {generation} */"
        prepared = await lease.driver.prepare(text, name=name if self.named else "")
        known.statements[statement.prepared_name] = prepared
        return prepared

    def learn_from(self, error: BaseException, lease: Lease) -> bool:
        """Return whether the failed statement has to be prepared in another way, and do so with all from now on."""
        if isinstance(error, SCHEMA_CHANGED) and not lease.driver.is_closed():
            if lease.prepared.generation == self.generation:
                self.generation += 1
            return True
        if isinstance(error, STATEMENT_LOST):
            if self.named:
                self.named = False
                self.generation += 1
                logger.warning("the pooler keeps no prepared statements; set DATABASE_STATEMENTS=unnamed")
            return True
        if isinstance(error, asyncpg.FeatureNotSupportedError):  # Citus plans some statements for given values only
            self.distributed = True
            if self._plan_cache_mode == PLAN_ONCE:
                self._plan_cache_mode = PLAN_AS_NEEDED
                self.generation += 1
                logger.info("the server plans for one user at a time: it plans each execution, and reads travel alone")
            return lease.prepared.generation != self.generation
        return False

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final, Self, cast

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.sql import visitors

DIALECT: Final = PGDialect_asyncpg()  # type: ignore[no-untyped-call]  # SQLAlchemy types its dialects in part
USER_ID: Final = sa.bindparam("user_id", type_=sa.Text)
"""The user whose rows a statement may touch; every statement has it."""

KNOWN: Final = sa.bindparam("known", type_=sa.ARRAY(sa.BigInteger))
"""Revisions that the client or our own cache has a body for; the answer leaves theirs out."""

ZERO: Final = sa.literal_column("0", sa.BigInteger)
ONE: Final = sa.literal_column("1", sa.BigInteger)


class Statement:
    """A SQLAlchemy Core statement compiled once: its SQL, its parameters in order and a name to prepare it under.

    `writes` tells whether it changes anything, so that running it twice is not the same as running it once.
    """

    __slots__ = ("name", "parameters", "sql", "writes")

    def __init__(self, sql: str, parameters: tuple[str, ...], *, writes: bool = False) -> None:
        self.sql = sql
        self.parameters = parameters
        self.writes = writes
        self.name = f"s{blake2b(sql.encode(), digest_size=8).hexdigest()}"  # one name, one text, in every process

    @classmethod
    def compile(cls, statement: sa.Executable) -> Self:
        """Compile for asyncpg; every bind parameter has to be named."""
        compiled = statement.compile(dialect=DIALECT)  # type: ignore[attr-defined]  # Executable leaves it to subclasses
        parameters = tuple(compiled.positiontup or ())
        assert USER_ID.key in parameters  # noqa: S101 - no statement may reach beyond one user
        assert not any(value is not None for value in compiled.params.values())  # noqa: S101 - constants belong in the SQL
        writes = any(
            isinstance(element, sa.UpdateBase) for element in visitors.iterate(cast("sa.ClauseElement", statement))
        )
        return cls(str(compiled), parameters, writes=writes)

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """Put named values into the order that the SQL numbers them in."""
        return [values[name] for name in self.parameters]

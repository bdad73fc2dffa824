"""Makes of a statement for one request one for several, without writing it again.

`SELECT answer.*, p.n FROM (SELECT $1 AS user_id, $2 AS known, $3 AS limit) AS q JOIN unnest(q.user_id, q.known) WITH
ORDINALITY AS p(user_id, known, n) ON true JOIN LATERAL (<the statement>) AS answer ON true`: a row of `p` is a request.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.sql import visitors

from app.db.statement import DIALECT, Statement

ZERO = sa.literal_column("0", sa.BigInteger)


class LateralStatement(Statement):
    """Has the rows of every request; their last column `n` is the request's number, from 1 on.

    Each request's part is planned like the statement by itself, for any values and by however many requests: OFFSET 0
    keeps the planner from looking into a subquery.
    """

    __slots__ = ()

    @classmethod
    def of(cls, statement: Statement) -> Self:
        """Read the parameters of `statement` from `p` and `q`."""
        bound = {each.key: each for each in visitors.iterate(statement.core) if isinstance(each, sa.BindParameter)}
        shared = [bound[name] for name in statement.shared]
        columns = [sa.column(each.key, sa.Text() if _is_numbers(each) else each.type) for each in statement.varying]
        arrays = [sa.bindparam(column.name, type_=sa.ARRAY(column.type)) for column in columns]
        q = sa.select(*(each.label(each.key) for each in (*arrays, *shared))).offset(ZERO).subquery("q")
        rows = sa.func.unnest(*(q.c[column.name] for column in columns))
        p = rows.table_valued(*columns, with_ordinality="n").render_derived(name="p")
        source = {each.key: _column("q", each) for each in shared} | {
            each.key: _of_request(each) for each in statement.varying
        }

        def read(element: Any, **_: Any) -> sa.ColumnElement[Any] | None:
            return source[element.key] if isinstance(element, sa.BindParameter) else None

        answer = visitors.replacement_traverse(statement.core, {}, read).offset(ZERO).lateral("answer")
        joined = q.join(p, sa.true()).join(answer, sa.true())
        return cls.compile(statement.name, sa.select(*answer.c, p.c.n).select_from(joined), varying=statement.varying)

    def arguments_of(self, requests: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Put the values of all requests into the order that the SQL numbers them in."""
        arrays = {each.key: [request[each.key] for request in requests] for each in self.varying}
        for each in filter(_is_numbers, self.varying):
            arrays[each.key] = [f"{{{','.join(map(str, numbers))}}}" for numbers in arrays[each.key]]
        return self.arguments({**requests[0], **arrays})


def _is_numbers(parameter: sa.BindParameter[Any]) -> bool:
    """Tell whether the parameter is an array of numbers, which is sent as text: no array holds arrays of any length."""
    return isinstance(parameter.type, sa.ARRAY) and isinstance(parameter.type.item_type, sa.Integer)


def _of_request(parameter: sa.BindParameter[Any]) -> sa.ColumnElement[Any]:
    column = _column("p", parameter)
    return sa.cast(column, parameter.type) if _is_numbers(parameter) else column


def _column(table: str, parameter: sa.BindParameter[Any]) -> sa.ColumnElement[Any]:
    """Name a column as text: as an element of its table it would add the table to the FROM of every query around it."""
    return sa.literal_column(f"{table}.{DIALECT.identifier_preparer.quote(parameter.key)}", parameter.type)

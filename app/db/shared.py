"""Runs one statement for several requests, and leaves none of them without an answer of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import asyncpg
import structlog

from app.db.failures import description
from app.db.lateral import LateralStatement
from app.db.statement import Statement

UNANSWERED: Final = object()
"""What a request gets instead of an answer when it has to ask by itself."""

Values = Mapping[str, Any]
Requests = dict[asyncio.Future[Any], Values]
AskOnce = Callable[[Statement, list[Any]], Awaitable[list[asyncpg.Record]]]

logger = structlog.get_logger("app.db")


class SharedStatements:
    """Makes each statement for several requests once; `ask_once` runs it."""

    def __init__(self, ask_once: AskOnce) -> None:
        self._ask_once = ask_once
        self._statements: dict[Statement, LateralStatement] = {}

    async def answer(self, statement: Statement, requests: Requests) -> None:
        """Give each request its first row, None or UNANSWERED."""
        try:
            if requests:
                await self._answer(statement, requests)
        except Exception as error:  # noqa: BLE001 - each request asks again and meets a failure of its own
            logger.info("a statement for several requests failed, so each asks by itself", **description(error))
        finally:
            for answer in requests:
                if not answer.done():
                    answer.set_result(UNANSWERED)

    async def _answer(self, statement: Statement, requests: Requests) -> None:
        if len(requests) == 1:
            [values] = requests.values()
            rows = await self._ask_once(statement, statement.arguments(values))
            found = dict(enumerate(rows, start=1))
        else:
            together = self._statements.get(statement)
            if together is None:
                together = self._statements[statement] = LateralStatement.of(statement)
            rows = await self._ask_once(together, together.arguments_of([*requests.values()]))
            found = {row["n"]: row for row in rows}
        for number, answer in enumerate(requests, start=1):
            if not answer.done():
                answer.set_result(found.get(number))

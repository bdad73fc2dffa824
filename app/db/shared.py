"""Runs one statement for several requests, and leaves none of them without an answer of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import asyncpg
import structlog

from app.db.failures import description
from app.db.lateral import LateralStatement
from app.db.observation import Execution
from app.db.statement import Statement

UNANSWERED: Final = object()
"""What a request gets instead of an answer when it has to ask by itself."""

Values = Mapping[str, Any]
Request = tuple[Values, Execution | None]
"""What a request asks with, and what is observed of it, if anything is."""
Requests = dict[asyncio.Future[Any], Request]
"""By the future for its answer."""
AskOnce = Callable[[Statement, list[Any], Execution | None], Awaitable[list[asyncpg.Record]]]

logger = structlog.get_logger("app.db")


class SharedStatements:
    """Makes each statement for several requests once; `ask_once` runs it."""

    def __init__(self, ask_once: AskOnce) -> None:
        self._ask_once = ask_once
        self._statements: dict[Statement, LateralStatement] = {}

    async def answer(self, statement: Statement, requests: Requests) -> None:
        """Give each request its first row, None or UNANSWERED."""
        asking = [execution for _, execution in requests.values() if execution is not None]
        together = Execution.of_several(statement.name, asking) if asking else None
        try:
            if requests:
                await self._answer(statement, requests, together)
        except Exception as error:  # noqa: BLE001 - each request asks again and meets a failure of its own
            logger.info("a statement for several requests failed, so each asks by itself", **description(error))
        finally:
            for answer, (_, execution) in requests.items():
                if not answer.done():
                    if execution is not None and together is not None:
                        execution.asked_in_vain(together)
                    answer.set_result(UNANSWERED)

    async def _answer(self, statement: Statement, requests: Requests, execution: Execution | None) -> None:
        if len(requests) == 1:
            [(values, _)] = requests.values()
            rows = await self._ask_once(statement, statement.arguments(values), execution)
            found = dict(enumerate(rows, start=1))
        else:
            several = self._statements.get(statement)
            if several is None:
                several = self._statements[statement] = LateralStatement.of(statement)
            arguments = several.arguments_of([values for values, _ in requests.values()])
            rows = await self._ask_once(several, arguments, execution)
            found = {row["n"]: row for row in rows}
        for number, answer in enumerate(requests, start=1):
            if not answer.done():
                answer.set_result(found.get(number))

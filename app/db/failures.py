"""What a failure says about its statement: whether it may have run, and whether asking again can help."""

import asyncio
import random
import socket
import ssl
from typing import Final

import asyncpg
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError

PASSING: Final = (
    "08",  # connection exception
    "26000",  # the prepared statement is gone from the server
    "42P05",  # the prepared statement belongs to another client of the pooler
    "53300",  # too many connections
    "57P",  # the server shuts down, crashed or starts
    "58",  # system error
    "XX",  # internal error; Neon's proxy reports a compute that it cannot reach with it
)
"""Prefixes of SQLSTATEs (PostgreSQL documentation, appendix A) that may be over a moment later."""

STALE: Final = (asyncpg.InvalidCachedStatementError, asyncpg.InternalClientError, AssertionError, BufferError)
"""What asyncpg 0.32 raises where a statement's types are no longer those that it was prepared with."""

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 0.5


class QueueFull(Exception):  # noqa: N818 - what happened, as in the standard library's own connection errors
    """Every connection is busy and the queue for them is full."""


class AnswerLost(Exception):  # noqa: N818 - the same
    """A write was sent, and no answer says whether it took effect."""


async def pause(attempt: int) -> None:
    """Wait after a failed attempt: longer each time, with jitter, lest what failed together return together."""
    longest = min(FIRST_PAUSE * 2.0**attempt, LONGEST_PAUSE)
    await asyncio.sleep(longest * random.uniform(0.5, 1))  # noqa: S311 - no secret


def _of_driver(error: BaseException) -> BaseException:
    """Return what asyncpg or the network raised; SQLAlchemy wraps it."""
    while isinstance(error, DBAPIError | AsyncAdapt_asyncpg_dbapi.Error) and error.__cause__ is not None:
        error = error.__cause__
    return error


def is_answer(error: BaseException) -> bool:
    """Tell whether the statement failed for sure: the server refused it, or asyncpg could not encode its arguments."""
    error = _of_driver(error)
    if isinstance(error, asyncpg.PostgresError):
        return (getattr(error, "severity_en", None) or getattr(error, "severity", None)) == "ERROR"
    return isinstance(error, asyncpg.DataError)


def is_passing(error: BaseException) -> bool:
    """Tell whether the same statement may succeed a moment later, on another connection."""
    error = _of_driver(error)
    match error:
        case asyncpg.PostgresError():
            state = error.sqlstate or ""
            return isinstance(error, STALE) or state.startswith(PASSING)
        case asyncpg.DataError() | ssl.SSLCertVerificationError():
            return False
        case socket.gaierror():
            return error.errno == socket.EAI_AGAIN
        case OSError() | asyncpg.InterfaceError():
            return True
    return isinstance(error, STALE)

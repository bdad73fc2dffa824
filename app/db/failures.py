"""What a failure says about its statement: whether it may have run, and whether asking again can help."""

import asyncio
import random
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, TypeVar

import asyncpg
from advanced_alchemy.exceptions import RepositoryError
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

T = TypeVar("T")


class Outlook(NamedTuple):
    """What to expect of a database in trouble."""

    retry: bool
    """The same statement may succeed a moment later, on another connection."""

    wait: bool
    """The server is starting, stopping or full; a migration waits for it."""


TROUBLE: Final = {
    # SQLSTATE: retry, wait
    "08": Outlook(True, True),  # connection exception
    "0A000": Outlook(False, False),  # a statement outlived its schema, or the server cannot plan it
    "25006": Outlook(False, False),  # read-only after a failover
    "26000": Outlook(True, False),  # the prepared statement is gone from the server
    "28": Outlook(False, False),  # the credentials are refused
    "3D000": Outlook(False, False),  # the database does not exist
    "40": Outlook(False, False),  # serialization failure, deadlock
    "42501": Outlook(False, False),  # a privilege is missing
    "42703": Outlook(False, False),  # a column is missing: migrations have not run
    "42P01": Outlook(False, False),  # a table is missing: the same
    "42P05": Outlook(True, False),  # the prepared statement belongs to another client of the pooler
    "53": Outlook(False, True),  # insufficient resources
    "53300": Outlook(True, True),  # too many connections
    "55P03": Outlook(False, False),  # lock timeout
    "57": Outlook(False, False),  # operator intervention, statement timeout
    "57P": Outlook(True, True),  # the server shuts down, crashed or starts
    "58": Outlook(True, False),  # system error
    "XX": Outlook(True, False),  # internal error; Neon's proxy reports a compute that it cannot reach with it
}
"""Every SQLSTATE (PostgreSQL documentation, appendix A) that is the database's trouble and not the client's. The
longest prefix counts."""

WRAPPERS: Final = (DBAPIError, AsyncAdapt_asyncpg_dbapi.Error, RepositoryError)

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 0.5


class QueueFull(Exception):  # noqa: N818 - what happened, as in the standard library's own connection errors
    """Every connection is busy and the queue for them is full."""


class AnswerLost(Exception):  # noqa: N818 - the same
    """A write was sent, and no answer says whether it took effect."""


class PlanRefused(Exception):  # noqa: N818 - the same
    """The server did not run a statement as it was prepared; the next attempt prepares it in another way."""


def driver_error(error: BaseException) -> BaseException:
    """Return what asyncpg or the network raised; SQLAlchemy and Advanced Alchemy wrap it."""
    while isinstance(error, WRAPPERS) and (inner := error.__cause__ or getattr(error, "orig", None)) is not None:
        error = inner
    return error


def was_refused(error: BaseException) -> bool:
    """Tell whether the statement failed for sure: the server refused it, or asyncpg could not encode its arguments."""
    error = driver_error(error)
    if isinstance(error, asyncpg.DataError):  # from either of them
        return True
    if isinstance(error, asyncpg.PostgresError):
        return (getattr(error, "severity_en", None) or getattr(error, "severity", None)) == "ERROR"
    return False


def is_unavailable(error: BaseException) -> bool:
    """Tell whether the failure is the database's trouble, not the client's and no bug of ours."""
    error = driver_error(error)
    trouble = (OSError, PoolTimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError)
    return _outlook(error) is not None or isinstance(error, trouble)


def is_transient(error: BaseException) -> bool:
    """Tell whether the same statement may succeed a moment later, on another connection."""
    error = driver_error(error)
    if isinstance(error, PlanRefused) or has_outlived_schema(error):
        return True
    match error:
        case asyncpg.PostgresError():
            outlook = _outlook(error)
            return outlook is not None and outlook.retry
        case ssl.SSLCertVerificationError():
            return False
        case socket.gaierror():
            return bool(error.errno == socket.EAI_AGAIN)
    return isinstance(error, OSError | asyncpg.InterfaceError)


def is_starting(error: BaseException) -> bool:
    """Tell whether the server cannot be reached yet: it is starting, stopping or full, or nothing listens there."""
    error = driver_error(error)
    outlook = _outlook(error)
    if outlook is not None:
        return outlook.wait
    return isinstance(error, OSError) and not isinstance(error, ssl.SSLError)


def is_unstorable(error: BaseException) -> bool:
    """Tell whether PostgreSQL, or asyncpg on its behalf, cannot represent a value."""
    return _sqlstate(driver_error(error)).startswith("22")


def is_duplicate(error: BaseException) -> bool:
    """Tell whether a row with the same key exists."""
    return _sqlstate(driver_error(error)) == "23505"


def has_outlived_schema(error: BaseException) -> bool:
    """Tell whether the types of a prepared statement have changed since; asyncpg 0.32 has four ways to say so."""
    changed = (asyncpg.InvalidCachedStatementError, asyncpg.InternalClientError, AssertionError, BufferError)
    return isinstance(error, changed)


def is_lost(error: BaseException) -> bool:
    """Tell whether a named statement came to another connection: PgBouncer below 1.21 mixes them up."""
    return isinstance(error, asyncpg.InvalidSQLStatementNameError | asyncpg.DuplicatePreparedStatementError)


def needs_values_to_plan(error: BaseException) -> bool:
    """Tell whether the server cannot plan a statement for any parameters, as Citus cannot: nothing of it was run."""
    return isinstance(error, asyncpg.FeatureNotSupportedError) and not has_outlived_schema(error)


def description(error: BaseException | None) -> dict[str, list[str]]:
    """Return the names and the SQLSTATEs of the error and of what it was raised from, outermost first, for the log."""
    chain = []
    while error is not None:
        chain.append(error)
        error = error.__cause__
    states = [getattr(error, "sqlstate", None) for error in chain]
    return {"errors": [type(error).__name__ for error in chain], "sqlstates": list(filter(None, states))}


async def retry(attempt: Callable[[], Awaitable[T]]) -> T:
    """Await `attempt()` until it succeeds or fails for good; when cancelled, name the last failure as the cause."""
    failure, number = None, 0
    try:
        while True:
            try:
                return await attempt()
            except Exception as error:
                if not is_transient(error):
                    raise
                failure = error
            await pause(number)
            number += 1
    except asyncio.CancelledError as cancelled:
        raise cancelled from failure


async def pause(attempt: int) -> None:
    """Wait after a failed attempt: longer each time, with jitter, lest what failed together return together."""
    longest = min(FIRST_PAUSE * 2.0**attempt, LONGEST_PAUSE)
    await asyncio.sleep(longest * random.uniform(0.5, 1))  # noqa: S311 - no secret


def _outlook(error: BaseException) -> Outlook | None:
    state = _sqlstate(error)
    return next((TROUBLE[state[:length]] for length in (5, 3, 2) if state[:length] in TROUBLE), None)


def _sqlstate(error: BaseException) -> str:
    return getattr(error, "sqlstate", None) or ""

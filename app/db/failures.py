"""What a failure says about its statement: whether it may have run, and whether asking again can help."""

import asyncio
import random
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import ClassVar, Final, NamedTuple, TypeVar

import asyncpg
from advanced_alchemy.exceptions import RepositoryError
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

T = TypeVar("T")


class QueueFull(Exception):  # noqa: N818 - what happened, as in the standard library's own connection errors
    """Every connection is busy and the queue for them is full."""


class UserQueueFull(Exception):  # noqa: N818 - the same
    """As many requests of one user wait as may."""


class AnswerLost(Exception):  # noqa: N818 - the same
    """A write was sent, and no answer says whether it took effect."""

    count: ClassVar[int] = 0
    """How many there were in this process. Who tells others of writes has told nobody of these."""

    def __init__(self) -> None:
        super().__init__()
        AnswerLost.count += 1


class StatementOutdated(Exception):  # noqa: N818 - the same
    """A statement brought no answer as it was prepared; the next attempt prepares it in another way."""


class Outlook(NamedTuple):
    """What to expect of the database after a failure."""

    retry: bool
    """The same statement may succeed a moment later, on another connection."""
    wait: bool
    """The server is starting, stopping or full; a migration waits for it."""
    unavailable: bool = True
    """It is the database's trouble, not the client's and no bug of ours."""


SQLSTATES: Final = {  # retry, wait
    "08": Outlook(True, True),  # connection exception
    "0A000": Outlook(False, False),  # not supported
    "25006": Outlook(False, False),  # read-only after a failover
    "26000": Outlook(True, False),  # the prepared statement is gone from the server
    "28": Outlook(False, False),  # the credentials are refused
    "3D000": Outlook(False, False),  # the database does not exist
    "40": Outlook(False, False),  # serialization failure, deadlock
    "42501": Outlook(False, False),  # a privilege is missing
    "42703": Outlook(False, False),  # a column is missing: migrations have not run
    "42P01": Outlook(False, False),  # a table is missing: the same
    "42P10": Outlook(False, False),  # the index that a create with a key relies on is missing: the same
    "42P05": Outlook(True, False),  # the prepared statement belongs to another client of the pooler
    "53": Outlook(False, True),  # insufficient resources
    "53300": Outlook(True, True),  # too many connections
    "55P03": Outlook(False, False),  # lock timeout
    "57": Outlook(False, False),  # operator intervention, statement timeout
    "57P": Outlook(True, True),  # the server shuts down, crashed or starts
    "58": Outlook(True, False),  # system error
    "XX": Outlook(True, False),  # internal error; Neon's proxy reports a compute that it cannot reach with it
}
"""By prefix (PostgreSQL documentation, appendix A); the longest counts."""
NOT_THE_DATABASE: Final = Outlook(False, False, unavailable=False)

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 0.5


def outlook(error: BaseException) -> Outlook:
    """Return what to expect of the database after this failure."""
    error = driver_error(error)
    match error:
        case asyncpg.PostgresError():
            state = sqlstate(error)
            return next((SQLSTATES[state[:n]] for n in (5, 3, 2) if state[:n] in SQLSTATES), NOT_THE_DATABASE)
        case ssl.SSLCertVerificationError() | PoolTimeoutError():
            return Outlook(False, False)
        case ssl.SSLError() | asyncpg.InterfaceError() | asyncpg.InternalClientError() | StatementOutdated():
            return Outlook(True, False)
        case socket.gaierror():
            return Outlook(error.errno == socket.EAI_AGAIN, True)
        case OSError():
            return Outlook(True, True)
    return NOT_THE_DATABASE


def was_refused(error: BaseException) -> bool:
    """Tell whether the statement failed for sure: the server refused it, or asyncpg could not encode its arguments."""
    error = driver_error(error)
    if isinstance(error, asyncpg.DataError):  # from either of them
        return True
    severity = getattr(error, "severity_en", None) or getattr(error, "severity", None)
    return isinstance(error, asyncpg.PostgresError) and severity == "ERROR"


def sqlstate(error: BaseException) -> str:
    """Return the code that the server gave, or nothing."""
    return getattr(driver_error(error), "sqlstate", None) or ""


def driver_error(error: BaseException) -> BaseException:
    """Return what asyncpg or the network raised; SQLAlchemy and Advanced Alchemy wrap it."""
    wrappers = (DBAPIError, AsyncAdapt_asyncpg_dbapi.Error, RepositoryError)
    while isinstance(error, wrappers) and (inner := error.__cause__ or getattr(error, "orig", None)):
        error = inner
    return error


def description(error: BaseException | None) -> dict[str, list[str]]:
    """Return the names and SQLSTATEs of the error and of what it was raised from, outermost first, for the log."""
    chain = []
    while error is not None:
        chain.append(error)
        error = error.__cause__
    states = [getattr(error, "sqlstate", None) for error in chain]
    return {"errors": [type(error).__name__ for error in chain], "sqlstates": list(filter(None, states))}


async def retry(attempt: Callable[[], Awaitable[T]], *, repeatable: bool = False) -> T:
    """Await `attempt()` until it succeeds or fails for good; when cancelled, name the last failure as the cause.

    A repeatable write is sent again after an AnswerLost, which is how it fails if no attempt after that succeeds.
    """
    failure: Exception | None = None
    lost, number = False, 0
    try:
        while True:
            try:
                return await attempt()
            except Exception as error:
                cause = error.__cause__ if repeatable and isinstance(error, AnswerLost) else error
                if cause is None or not outlook(cause).retry:
                    raise
                failure, lost = error, lost or cause is not error
            await pause(number)
            number += 1
    except BaseException as error:
        if lost:
            raise AnswerLost from error
        if isinstance(error, asyncio.CancelledError):
            raise error from failure
        raise


async def pause(attempt: int) -> None:
    """Wait after a failed attempt: longer each time, with jitter, lest what failed together return together."""
    longest = min(FIRST_PAUSE * 2.0**attempt, LONGEST_PAUSE)
    await asyncio.sleep(longest * random.uniform(0.5, 1))  # noqa: S311 - no secret

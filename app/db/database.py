"""Both lanes over one pool: single statements in autocommit, and explicit transactions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker

from app.db.engine import create_engine
from app.db.lane import FastLane
from app.settings import Settings


class Database:
    """The fast lane in `lane`, and in `session` the session of the current asyncio task, for use in `transaction()`."""

    def __init__(self, settings: Settings) -> None:
        self.engine, named = create_engine(settings)
        self.lane = FastLane(self.engine, named=named, timeout=settings.database_timeout)
        self.session = async_scoped_session[AsyncSession](
            async_sessionmaker(self.engine, expire_on_commit=False), scopefunc=_current_task
        )
        self._timeout = settings.database_timeout

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Begin a transaction for the block and commit it at its end; a commit that fails raises."""
        async with asyncio.timeout(self._timeout):
            try:
                async with self.session.begin():
                    yield self.session()
            finally:
                await self.session.remove()


def _current_task() -> asyncio.Task[object] | None:
    """Return the running task; None while the application is being built, when repositories look at their dialect."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None

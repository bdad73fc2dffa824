"""Servers of one database, and devices at them, for a measurement."""

import asyncio
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from app.development import postgres
from app.settings import Settings
from tests.events.conftest import Device
from tests.faults.cluster import Cluster
from tests.processes import NEVER_LIMITED, Server, copied_project
from tests.ratelimit import redis
from tests.ratelimit.redis import Redis


class Bench:
    """Servers of one database, and perhaps of one Redis server; what is started here ends with the block."""

    def __init__(self, stack: AsyncExitStack, settings: Settings, passing: Redis) -> None:
        self.settings, self.passing = settings, passing
        self._stack = stack
        self._servers: dict[str, Server] = {}

    async def server(self, name: str, *, workers: int = 1, shared: bool = False, url: str | None = None) -> Server:
        """Return the service of a name, started if need be; where it is `shared`, workers tell each other.

        `url` leads to the database by another way.
        """
        if name in self._servers:
            return self._servers[name]
        variables = {
            "DATABASE_URL": url or self.settings.database_url,
            "BETTER_AUTH_SECRET": self.settings.better_auth_secret,
            "MAX_STREAMS": "100000",
            **NEVER_LIMITED,
        }
        if shared:
            variables["EVENTS_URL"] = self.passing.url
        folder = self._stack.enter_context(copied_project())
        server = Server(folder, port=None, workers=workers, options=(), **variables)
        self._servers[name] = server
        return await asyncio.to_thread(server.serving)

    def device(self, server: Server, user_id: str) -> Device:
        return Device(server.url, self.settings, user_id, self._stack)


@contextmanager
def ground() -> Iterator[tuple[Settings, Redis]]:
    """Run a database and a Redis server, and allow as many open files as the system does."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with copied_project() as project, postgres.running(project / ".dev") as url, redis.running() as passing:
        yield Cluster(url, project / ".dev" / "postgres").database(), passing


@asynccontextmanager
async def bench(settings: Settings, passing: Redis) -> AsyncIterator[Bench]:
    """Have one on that ground."""
    async with AsyncExitStack() as stack:
        yield Bench(stack, settings, passing)

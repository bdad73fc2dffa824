import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import httpx
import pytest

from app.events import polling
from app.settings import Settings
from tests.conftest import random_user
from tests.events.client import Stream, token
from tests.servers import serving

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For many clients of plain HTTP, each of which would read the system's certificates otherwise."""


class Device:
    """A user's: writes tasks, and follows the stream."""

    def __init__(self, address: str, settings: Settings, user_id: str, stack: AsyncExitStack) -> None:
        self.address, self.settings, self.user_id = address, settings, user_id
        self._stack = stack
        self.http = httpx.AsyncClient(
            base_url=address,
            headers={"Authorization": f"Bearer {token(settings, user_id)}"},
            timeout=20,
            verify=NO_TLS,
        )

    async def write(self, title: str = "x") -> int:
        """Create a task, and return its revision."""
        answer = await self.http.post("/api/me/tasks", json={"title": title})
        assert answer.status_code == 201, answer.text
        return int(answer.json()["revision"])

    async def follow(self, *, seconds: int = 3600, path: str = "/api/me/events") -> Stream:
        """Open a stream with a token for so many seconds."""
        stream = await Stream.open(self.address, token(self.settings, self.user_id, seconds), path)
        self._stack.push_async_callback(stream.close)
        return stream


DeviceOf = Callable[..., Awaitable[Device]]


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[str]:
    """Serve, and leave the event loop of the test to others while the server starts and ends."""
    server = serving(settings)
    address = await asyncio.to_thread(server.__enter__)
    try:
        yield address
    finally:
        await asyncio.to_thread(server.__exit__, None, None, None)


@pytest.fixture
async def device_at(settings: Settings) -> AsyncIterator[DeviceOf]:
    """Make devices of a server, each of a new user unless one is named."""
    async with AsyncExitStack() as stack:

        async def make(address: str, user_id: str | None = None, given: Settings = settings) -> Device:
            device = Device(address, given, user_id or random_user(), stack)
            stack.push_async_callback(device.http.aclose)
            return device

        yield make


@pytest.fixture(scope="module", params=[True, False], ids=["direct", "litestar"])
def address(request: pytest.FixtureRequest, settings: Settings) -> Iterator[str]:
    """A server of one worker, whichever way it dispatches, which never asks what other workers have written."""
    with (
        pytest.MonkeyPatch.context() as patch,
        serving(replace(settings, direct_dispatch=request.param)) as address,
    ):
        patch.setattr(polling, "POLL_SECONDS", 1000)
        yield address


@pytest.fixture
async def device(address: str, device_at: DeviceOf) -> Device:
    return await device_at(address)

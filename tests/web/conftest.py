import os
from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Browser

from app.settings import Settings
from tests.auth.better_auth.issuer import UnusableNodeError
from tests.chromium import launched
from tests.web import stack as stacks
from tests.web.stack import Stack
from tests.web.window import Window, opened


@pytest.fixture(scope="session")
def stack(settings: Settings) -> Iterator[Stack]:
    """One build and three servers for all tests; in CI a missing Node is a failure."""
    try:
        with stacks.running(settings) as running:
            yield running
    except UnusableNodeError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"The web app cannot be built: {error}")


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


@pytest.fixture
async def window(stack: Stack, browser: Browser) -> AsyncIterator[Window]:
    """A browser in which somebody is signed in whom nobody has seen before."""
    async with opened(stack, browser) as window:
        yield window

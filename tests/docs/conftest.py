from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.settings import Settings
from tests.servers import serving


@pytest.fixture
def production(settings: Settings) -> Iterator[str]:
    with serving(settings) as address:
        yield address


@pytest.fixture
def development(settings: Settings) -> Iterator[str]:
    with serving(replace(settings, development=True)) as address:
        yield address

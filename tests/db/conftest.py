from collections.abc import Callable

import pytest

from tests.db.empty import Empty


@pytest.fixture
def database(create_database: Callable[[], str]) -> Empty:
    return Empty(create_database())


@pytest.fixture
def migrated(database: Empty) -> Empty:
    database.commands().upgrade()
    return database

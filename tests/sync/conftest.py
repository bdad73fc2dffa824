from collections.abc import Iterator

import pytest

from app.settings import Settings
from tests.processes import NEVER_LIMITED, Server, copied_project


@pytest.fixture(scope="session")
def server(settings: Settings) -> Iterator[Server]:
    """One with two workers."""
    with copied_project() as folder:
        variables = {"DATABASE_URL": settings.database_url, "BETTER_AUTH_SECRET": settings.better_auth_secret}
        yield Server(folder, port=None, workers=2, options=(), **NEVER_LIMITED, **variables).serving()

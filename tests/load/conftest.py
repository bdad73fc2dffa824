import os

import pytest

from tests.auth.better_auth.issuer import UnusableNodeError
from tests.auth.better_auth.issuer import install as install_from_npm
from tests.load.bench import environment, open_load, wrk
from tests.load.bench.contenders import FASTIFY


@pytest.fixture(scope="session")
def tools() -> None:
    """wrk, the open load, the environment of the peers, and Node; in CI their absence is a failure."""
    try:
        wrk.require()
        open_load.require()
        environment.install()
        install_from_npm(FASTIFY)
    except (environment.MissingToolError, UnusableNodeError) as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"The load tests cannot run: {error}")

import os

import pytest

from tests.load.bench import environment, open_load, wrk
from tests.load.bench.peers import PEERS


@pytest.fixture(scope="session")
def tools() -> None:
    """wrk, and what the peers need; in CI their absence is a failure."""
    try:
        wrk.require()
        open_load.require()
        environment.install()
        for peer in PEERS:
            if peer.install is not None:
                peer.install()
    except environment.MissingToolError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"The load tests cannot run: {error}")

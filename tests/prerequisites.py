"""Installs all that tests install where it is missing: packages of npm, the peers of the benchmark, programs in Go.

Run it with `python -m tests.prerequisites`, as CI does while it checks types; each of them is also installed by the
first test that needs it.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from tests.auth.better_auth import issuer
from tests.clients.clients import FOLDER as CLIENTS
from tests.frontend import site
from tests.load.bench import environment, open_load
from tests.load.bench.peers import PEERS
from tests.web import stack

FROM_NPM: Final[tuple[Path, ...]] = (issuer.FOLDER, CLIENTS, CLIENTS / "sync")
INSTALLERS: Final[tuple[Callable[[], object], ...]] = (
    site.install_packages,
    stack.install_packages,
    *(partial(issuer.install, folder) for folder in FROM_NPM),
    environment.install,
    *(peer.install for peer in PEERS if peer.install is not None),
    open_load.require,
)


def install() -> None:
    """Install everything side by side, for most of it waits for the registries. Raises what the installers raise."""
    with ThreadPoolExecutor(len(INSTALLERS)) as threads:
        for installing in [threads.submit(installer) for installer in INSTALLERS]:
            installing.result()


if __name__ == "__main__":
    install()

"""A command of a deployment, run as it stands there, until it serves."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from tests.processes import END_SECONDS, START_SECONDS, until

SETTINGS: Final = {
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/tasks",  # which no probe asks
    "BETTER_AUTH_SECRET": "kq3Jf0sK2mZ8vB1xW7tR5yN4pL6dH9cE",
}


@contextmanager
def serving(command: Sequence[str], folder: Path, port: int, variables: Mapping[str, str]) -> Iterator[str]:
    """Run a command in a folder until its /health answers; at the end it gets a SIGTERM, and has to end by it."""
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(
        command, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:

        def answers() -> bool:
            assert process.poll() is None, process.communicate()[0]
            try:
                return httpx.get(f"{url}/health").is_success
            except httpx.TransportError:
                return False

        try:
            until(answers, START_SECONDS)
            yield url
        finally:
            process.terminate()
            process.wait(END_SECONDS)

"""The environment that every contender runs in, ours too: one interpreter, one set of pinned packages, in .dev/peers.

Run it with `python -m tests.load.bench.environment` to make it without measuring.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import click

ROOT: Final = Path(__file__).parents[3]
FOLDER: Final = ROOT / ".dev" / "peers"
REQUIREMENTS: Final = ROOT / ".ci" / "requirements-peers.txt"
PYTHON: Final = FOLDER / "bin" / "python"


class MissingToolError(click.ClickException):
    """A program that the benchmark needs is not there; the message is one sentence."""


def install() -> None:
    """Install the pinned packages, once per version of their list and interpreter. Raises MissingToolError.

    Whoever comes while another process does so waits for it.
    """
    FOLDER.parent.mkdir(exist_ok=True)
    with (FOLDER.parent / "peers.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install()


def _install() -> None:
    wanted = f"{sys.version}\n{REQUIREMENTS.read_text()}"
    installed = FOLDER / ".installed"
    if installed.is_file() and installed.read_text() == wanted:
        return
    if shutil.which("uv") is None:
        raise MissingToolError("uv is not installed; it makes the environment of the peers (pip install uv).")
    click.echo("Installing the peers into .dev/peers, once.", err=True)
    installed.unlink(missing_ok=True)
    # whatever environment this process was started for, as by .ci/run, is another one
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("UV_PROJECT", "UV_NO_SYNC"))}
    variables["VIRTUAL_ENV"] = str(FOLDER)
    for command in (
        ("venv", "--allow-existing", "--python", sys.executable, str(FOLDER)),
        ("pip", "sync", "--require-hashes", str(REQUIREMENTS)),
    ):
        done = subprocess.run(("uv", *command), env=variables, capture_output=True, text=True, check=False)
        if done.returncode:
            raise MissingToolError(f"uv {command[0]} failed: {done.stderr.strip()[-500:]}")
    installed.write_text(wanted)


if __name__ == "__main__":
    install()

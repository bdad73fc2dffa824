"""Runs wrk with one of the scripts in lua/ and reads what it reports."""

import asyncio
import json
import math
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Final

from msgspec import Struct, convert

from tests.load.bench.environment import MissingToolError

SCRIPTS: Final = Path(__file__).parent / "lua"
RESPONSE_SECONDS: Final = 10
GRACE_SECONDS: Final = 30
"""After these wrk ends by itself, should nobody be left to interrupt it."""


class Load(Struct, frozen=True):
    """What the client saw; latencies in milliseconds, `errors` by kind, those that occurred only."""

    requests: int
    seconds: float
    p50: float
    p99: float
    p999: float
    errors: dict[str, int]


def require() -> None:
    """Raise MissingToolError where wrk is not installed."""
    if shutil.which("wrk") is None:
        raise MissingToolError("wrk is not installed; it makes the load (apt-get install wrk).")


def version() -> str:
    """Return the first line that wrk prints about itself."""
    return subprocess.run(("wrk", "-v"), check=False, capture_output=True, text=True).stdout.partition(" [")[0]


async def run(url: str, script: str, plan: Path, *, seconds: float, connections: int) -> Load:
    """Send the requests of `plan` for so many seconds, which may be a fraction, over so many connections."""
    process = await asyncio.create_subprocess_exec(
        "wrk",
        "--threads=1",
        f"--connections={connections}",
        f"--duration={math.ceil(seconds) + GRACE_SECONDS}s",
        f"--timeout={RESPONSE_SECONDS}s",
        f"--script={SCRIPTS / script}",
        url,
        "--",
        str(plan),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    first = await process.stdout.readline()  # the script says that it has read its plan
    try:
        await asyncio.wait_for(process.wait(), seconds)
    except TimeoutError:
        process.send_signal(signal.SIGINT)  # wrk takes whole seconds only, but reports when interrupted
    output = (first + await process.stdout.read()).decode()
    await process.wait()
    start = output.rfind("\n{")
    if start < 0:
        raise RuntimeError(f"wrk reported nothing: {output.strip()}")
    return convert(json.loads(output[start:]), Load)

"""Asks at a constant rate, whether or not earlier requests were answered; a latency begins when its request is due."""

import asyncio
import json
from pathlib import Path
from subprocess import PIPE
from typing import Final
from urllib.parse import urlsplit

from msgspec import convert

from tests.load.bench import golang
from tests.load.bench.wrk import Load

PERCENTS: Final = (25, 50, 75, 90)
"""Of what the contender answers when it is asked for all it can."""

SOURCE: Final = Path(__file__).parent / "openload"


def require() -> None:
    """Build the program that makes the load. Raises MissingToolError."""
    golang.build(SOURCE)


async def run(url: str, plan: Path, *, rate: float, seconds: float, connections: int) -> Load:
    """Send so many requests of `plan` per second, over connections that are taken in turn."""
    arguments = (urlsplit(url).netloc, plan, rate, seconds, connections)
    process = await asyncio.create_subprocess_exec(
        golang.program(SOURCE), *map(str, arguments), stdout=PIPE, stderr=PIPE
    )
    output, errors = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"The open load failed: {errors.decode().strip()}")
    return convert(json.loads(output), Load)

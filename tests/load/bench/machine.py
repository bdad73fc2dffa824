"""What the figures were measured on."""

import json
import platform
import subprocess
from pathlib import Path
from typing import Any, Final

from tests.load.bench import golang, wrk
from tests.load.bench.environment import PYTHON, ROOT

PACKAGES: Final = (
    "litestar",
    "advanced-alchemy",
    "sqlalchemy",
    "asyncpg",
    "psycopg",
    "fastapi",
    "sqlmodel",
    "pydantic",
    "msgspec",
    "pyjwt",
    "uvicorn",
    "uvloop",
    "httptools",
)
VERSIONS: Final = (
    "import json, sys; from importlib.metadata import version; "
    "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
)


def describe(postgresql: str) -> dict[str, Any]:
    """Name processor, memory, versions and commit."""
    return {
        "processor": _processor(),
        "cores": len(_lines("/proc/cpuinfo", "processor")),
        "memory_gib": round(int(_lines("/proc/meminfo", "MemTotal")[0].split()[0]) / 2**20, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "postgresql": postgresql,
        "wrk": wrk.version(),
        "node": _output("node", "--version"),
        "go": golang.versions(),
        "packages": _packages(),
        "commit": _output("git", "describe", "--always", "--dirty"),
    }


def _processor() -> str:
    return next(iter(_lines("/proc/cpuinfo", "model name")), platform.machine())


def _lines(file: str, name: str) -> list[str]:
    """Return the values of the lines `name: value` in a file of the kernel."""
    pairs = (line.partition(":") for line in Path(file).read_text().splitlines())
    return [value.strip() for key, _, value in pairs if key.strip() == name]


def _packages() -> dict[str, str]:
    text = subprocess.run((PYTHON, "-c", VERSIONS, *PACKAGES), check=True, capture_output=True, text=True).stdout
    versions: dict[str, str] = json.loads(text)
    return versions


def _output(*command: str) -> str | None:
    try:
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None

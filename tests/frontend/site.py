"""The code of docs/authentication.md in a Next.js project, built and served as a frontend developer does."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from tests.auth.better_auth.issuer import install
from tests.processes import ROOT, environment, until

DOCUMENT: Final = ROOT / "docs" / "authentication.md"
SOURCE: Final = Path(__file__).parent / "project"
FOLDER: Final = ROOT / ".dev" / "frontend"
STALE: Final = ("app", "lib")
START_SECONDS: Final = 60


def snippets() -> dict[str, str]:
    """Each TypeScript block of the document by the path that its first line names."""
    blocks = re.findall(r"^```tsx?\n// (\S+)\n(.*?)^```", DOCUMENT.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert len({path for path, _ in blocks}) == len(blocks)
    return dict(blocks)


def types_command() -> str:
    [command] = re.findall(r"^npx openapi-typescript .*$", DOCUMENT.read_text(), flags=re.MULTILINE)
    return str(command)


def with_addresses(text: str, service: str, site: str) -> str:
    return text.replace("https://api.example.com", service).replace("https://app.example.com", site)


def install_packages() -> None:
    """Install what the project needs from npm, in a folder that stays. Raises UnusableNodeError."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    shutil.copytree(SOURCE, FOLDER, dirs_exist_ok=True)
    install(FOLDER)


def build(service: str, site: str, **variables: str) -> None:
    """Put the project together and compile it for these addresses. Raises UnusableNodeError."""
    for name in STALE:
        shutil.rmtree(FOLDER / name, ignore_errors=True)
    install_packages()
    for path, text in snippets().items():
        (FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / path).write_text(with_addresses(text, service, site))
    for command in (with_addresses(types_command(), service, site), "node migrate.mjs", "node_modules/.bin/next build"):
        done = subprocess.run(
            command.split(),
            cwd=FOLDER,
            env=node_environment(**variables),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def node_environment(**variables: str) -> dict[str, str]:
    return environment(NEXT_TELEMETRY_DISABLED="1", **variables)


@contextmanager
def serving(port: int, **variables: str) -> Iterator[str]:
    """Serve what was built, in a process group of its own."""
    process = subprocess.Popen(
        ["node_modules/.bin/next", "start", "--hostname", "127.0.0.1", "--port", str(port)],
        cwd=FOLDER,
        env=node_environment(**variables),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(address), START_SECONDS)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(address: str) -> bool:
    try:
        return httpx.get(address).is_success
    except httpx.TransportError:
        return False

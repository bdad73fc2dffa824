"""The clients: how each is generated, by the commands that docs/api.md names, checked and run, as its user would."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.processes import ROOT, environment

FOLDER: Final = Path(__file__).parent
DOCUMENTED: Final = (ROOT / "docs" / "api.md").read_text()
ADDRESS: Final = "http://127.0.0.1:8000"
"""The server in the documentation."""


@dataclass(frozen=True)
class Client:
    """A generator, known by how its command in docs/api.md begins, and how a program that uses its client is run."""

    generator: str
    program: str
    check: str = "npx tsc"
    run: str = "npx tsx"


CLIENTS: Final = (
    Client("npx openapi-typescript ", "openapi_fetch.ts"),
    # what it generates does not stand that option, whatever the document
    Client("npx @hey-api/openapi-ts ", "hey_api.ts", check="npx tsc --exactOptionalPropertyTypes false"),
    Client("npx orval ", "orval.ts"),
    Client("openapi-python-client ", "python_client.py", check="mypy python_client.py api", run="python"),
)


@dataclass(frozen=True)
class Outcome:
    """How generating, checking and running a client ended, and what each printed."""

    generated: subprocess.CompletedProcess[str]
    checked: subprocess.CompletedProcess[str]
    ran: subprocess.CompletedProcess[str]


def outcome(client: Client, folder: Path, token: str, *, url: str) -> Outcome:
    """Generate, check and run a client in an empty folder."""
    prepare(folder, client.program, "mypy.ini" if client.program.endswith(".py") else "tsconfig.json")
    (folder / "orval.config.mjs").write_text(block("js").replace(ADDRESS, url))
    [command] = [line for line in block("bash").splitlines() if line.startswith(client.generator)]
    return Outcome(
        run(command.replace(ADDRESS, url), folder),
        run(client.check, folder),
        run(f"{client.run} {client.program}", folder, API_URL=url, TOKEN=token),
    )


def prepare(folder: Path, *names: str) -> None:
    """Put files of this folder, and the installed packages, into another one."""
    for name in ("package.json", *names):
        shutil.copy(FOLDER / name, folder)
    (folder / "node_modules").symlink_to(FOLDER / "node_modules")


def block(language: str) -> str:
    """The code in that language in the chapter on generated clients."""
    chapter = DOCUMENTED.partition("## Generated clients\n")[2].partition("\n## ")[0]
    [code] = re.findall(rf"```{language}\n(.*?)```", chapter, re.DOTALL)
    return str(code)


def run(command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command line of the documentation, which finds what is installed and may not download more."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    given = environment(NO_COLOR="1", npm_config_offline="true", **variables) | {"PATH": path}
    return subprocess.run(
        shlex.split(command), cwd=folder, env=given, capture_output=True, text=True, check=False, timeout=300
    )

"""What .ci/run does, as far as documents and hooks repeat it."""

import re
import shlex
import subprocess
from typing import Final

from tests.processes import ROOT

SCRIPT: Final = (ROOT / ".ci" / "run").read_text()


def lint_commands() -> list[tuple[str, ...]]:
    """The words of each command of the step before the tests; what is checked there is changed by people and hooks."""
    [step] = re.findall(r'^step "Format, lint, types"\n(.*?)^step ', SCRIPT, flags=re.DOTALL | re.MULTILINE)
    lines = step.replace("\\\n", " ").replace('"$bin/', '"').splitlines()
    found = [shlex.split(line, comments=True) for line in lines]
    return [tuple(word for word in words if word != "--check") for words in found if words]


def packages() -> set[str]:
    """Those of the distribution that it installs for the benchmark, with the braces of the shell expanded."""
    [listed] = re.findall(r"^for package in (.*); do$", SCRIPT, flags=re.MULTILINE)
    [tools] = re.findall(r"^for tool in (.*?); do", SCRIPT, flags=re.MULTILINE)
    expanded = subprocess.check_output(["bash", "-c", f"echo {listed} {tools}"], text=True)
    return set(expanded.split())

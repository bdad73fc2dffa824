"""What the Containerfile says, and its steps in a folder instead of an image: there is no container engine here."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

from tests.processes import ROOT, environment

CONTAINERFILE: Final = (ROOT / "Containerfile").read_text()
BUILD, _, FINAL = CONTAINERFILE.partition("\n\nFROM ")
LIBRARY: Final = Path("usr", "local", "lib", "python3.13")
PACKAGES: Final = Path("venv", "lib", "python3.13", "site-packages")


def instruction(name: str, stage: str = FINAL) -> str:
    """Return what follows an instruction that the stage has once."""
    [found] = re.findall(rf"^{name} ((?:.*\\\n)*.*)", stage, flags=re.MULTILINE)
    return str(found).replace("\\\n", "")


def variables(folder: Path) -> dict[str, str]:
    """Return the environment that the image gives its commands, for an image in a folder."""
    set_here = dict(word.split("=", 1) for word in shlex.split(instruction("ENV")))
    return environment() | set_here | {"PATH": environment()["PATH"], "PYTHONPYCACHEPREFIX": f"{folder}/bytecode"}


def command(name: str) -> list[str]:
    """Return the words of CMD or HEALTHCHECK; the first is a program of this Python's environment."""
    first, *others = json.loads(instruction(name).rpartition("CMD ")[2] if name == "HEALTHCHECK" else instruction(name))
    return [str(Path(sys.executable).parent / first), *others]


def build(folder: Path) -> None:
    """Lay out a small image: the application, and one package of each kind that is compiled or left out."""
    for name in ("app", "migrations"):
        shutil.copytree(ROOT / name, folder / "srv" / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(Path(sysconfig.get_path("stdlib"), "json"), folder / LIBRARY / "json")
    for left_out in ("idlelib", "site-packages"):
        (folder / LIBRARY / left_out).mkdir()
        (folder / LIBRARY / left_out / "unused.py").touch()
    shutil.copytree(Path(sysconfig.get_path("purelib"), "click"), folder / PACKAGES / "click")
    for step in re.findall(r"^RUN (python -m compileall (?:.*\\\n)*.*)", BUILD, flags=re.MULTILINE):
        words = shlex.split(re.sub(r"(?<=[\s^'])/(?=usr|venv|srv)", f"{folder}/", step.replace("\\\n", " ")))
        subprocess.run([sys.executable, *words[1:]], env=variables(folder), check=True)

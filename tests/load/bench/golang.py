"""Builds programs in Go from the packages of Debian, which has one version of each; nothing is fetched."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.load.bench.environment import ROOT, MissingToolError

FOLDER: Final = ROOT / ".dev" / "go"
SOURCES: Final = "/usr/share/gocode"
PACKAGES: Final = (
    "golang-go",
    "golang-github-gin-gonic-gin-dev",
    "golang-github-golang-jwt-jwt-dev",
    "golang-github-jackc-pgx-v4-dev",
    "golang-golang-x-sys-dev",
)
TO_INSTALL: Final = f"apt-get install {' '.join(PACKAGES)}"


def program(source: Path) -> Path:
    """Return where the program made of a folder is, once `build` has made it."""
    return FOLDER / source.name


def versions() -> dict[str, str]:
    """Return those of the packages that are installed."""
    command = ("dpkg-query", "--show", "--showformat=${Package} ${Version}\n", *PACKAGES)
    if shutil.which("dpkg-query") is None:
        return {}
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return dict(line.split() for line in lines)


def build(source: Path) -> None:
    """Build the program, which is quick where nothing has changed. Raises MissingToolError."""
    if shutil.which("go") is None:
        raise MissingToolError(f"go is not installed ({TO_INSTALL})")
    done = subprocess.run(
        ("go", "build", "-o", program(source), "."),
        cwd=source,
        env={**os.environ, "GO111MODULE": "off", "GOPATH": SOURCES, "GOFLAGS": "", "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise MissingToolError(f"go build failed ({TO_INSTALL}): {done.stderr.strip()[-500:]}")

"""The files of docs/deployment, and what they have in common with the service."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import yaml  # type: ignore[import-untyped]

from app.cli import Commands
from app.settings import Settings
from tests.processes import ROOT

FOLDER: Final = ROOT / "docs" / "deployment"
MIGRATE: Final = "litestar database upgrade --no-prompt"
PROXIES: Final = 5
"""Seconds that a proxy may take to learn of a pod's end."""
DEFAULTS: Final = Settings(database_url="")
ENDING: Final = DEFAULTS.shutdown_delay + DEFAULTS.shutdown_timeout + 1
"""Seconds that a server takes at most to end, closing its connections and log included."""


def text(name: str) -> str:
    return (FOLDER / name).read_text()


def document(name: str) -> Any:
    """Return the one document of a YAML, TOML or JSON file."""
    return tomllib.loads(text(name)) if name.endswith(".toml") else yaml.safe_load(text(name))


def objects(name: str) -> dict[str, Any]:
    """Return the Kubernetes objects of a file by kind; it has one of each."""
    found = list(yaml.safe_load_all(text(f"kubernetes/{name}.yaml")))
    by_kind = {entry["kind"]: entry for entry in found}
    assert len(by_kind) == len(found)
    return by_kind


def every_file() -> list[Path]:
    return sorted(path for path in FOLDER.rglob("*") if path.is_file())


def command_line_variables() -> Iterator[str]:
    """Yield the variables that `litestar run` takes for its options."""
    cli = click.Group()
    Commands(Settings(database_url="postgresql://localhost/tasks")).on_cli_init(cli)
    for option in cli.commands["run"].params:
        yield from [option.envvar] if isinstance(option.envvar, str) else option.envvar or ()

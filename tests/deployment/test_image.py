"""The Containerfile's image starts from bytecode that was made with it, and writes nothing."""

import re
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.deployment import image
from tests.deployment.serving import SETTINGS, serving
from tests.processes import free_port

UNCHECKED = 0b01  # by hash, and not compared with the source (PEP 552)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    image.build(folder)
    return folder


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A server of the image, after its sources have been made useless."""
    for source in (folder / "srv" / "app").rglob("*.py"):
        source.write_text("raise AssertionError('the source is read')")
    port = free_port()
    variables = image.variables(folder) | SETTINGS | {"PORT": str(port)}
    with serving(image.command("CMD"), folder / "srv", port, variables) as url:
        yield url, variables


def files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def compiled(folder: Path) -> dict[Path, Path]:
    """Each source that has bytecode, and the bytecode."""
    tree = folder / "bytecode"
    return {
        Path("/", path.relative_to(tree).parent, path.name.partition(".")[0]).with_suffix(".py"): path
        for path in tree.rglob("*.pyc")
    }


def test_all_that_is_imported_is_compiled_and_nothing_else(folder: Path) -> None:
    assert compiled(folder).keys() == {path for path in folder.rglob("*.py") if path.name != "unused.py"}


def test_bytecode_is_never_compared_with_its_source(folder: Path) -> None:
    flags = {struct.unpack("<4xI", path.read_bytes()[:8])[0] for path in compiled(folder).values()}
    assert flags == {UNCHECKED}


def test_each_tree_that_is_compiled_is_copied_into_the_image(folder: Path) -> None:
    copied = re.findall(r"^COPY --from=build /bytecode/(\w+) /bytecode/\1$", image.FINAL, flags=re.MULTILINE)
    assert sorted(copied) == sorted({path.relative_to(folder).parts[0] for path in compiled(folder)})


def test_the_command_serves_from_bytecode_and_its_health_check_passes(served: tuple[str, dict[str, str]]) -> None:
    url, variables = served
    assert httpx.get(f"{url}/ready").status_code == 200
    subprocess.run(image.command("HEALTHCHECK"), env=variables, check=True)


def test_nothing_is_written_at_run_time(folder: Path, served: tuple[str, dict[str, str]]) -> None:
    before = files(folder)
    assert httpx.get(f"{served[0]}/docs").status_code == 200
    assert files(folder) == before


def test_the_health_check_fails_where_nobody_serves() -> None:
    variables = image.variables(Path("/nowhere")) | {"PORT": str(free_port())}
    assert subprocess.run(image.command("HEALTHCHECK"), env=variables, capture_output=True, check=False).returncode == 1

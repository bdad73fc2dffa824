"""Commands of docs/deployment.md whose programs are not here: the files and objects that they name are."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.processes import ROOT

FILES: Final = [path for path in (ROOT / "docs" / "deployment").rglob("*") if path.is_file()]


def check_docker(words: tuple[str, ...]) -> None:
    assert words[1] in {"build", "compose"}
    assert (ROOT / words[words.index("-f") + 1]).is_file()


def check_deployment(words: tuple[str, ...]) -> None:
    for word in words[1:]:
        if word.startswith("docs/"):
            assert (ROOT / word).is_file() or Path(word).name == ".env"
        elif word.removeprefix("job/").startswith("litestar-tasks"):
            assert any(
                f"/{word}.service" in str(path) or word.removeprefix("job/") in path.read_text() for path in FILES
            )


def check_pip_with_hashes(words: tuple[str, ...]) -> None:
    folder = Path(words[0]).parents[2]
    assert (ROOT / Path(words[-1]).relative_to(folder)).is_file()
    assert {"--require-hashes", "--only-binary"} <= {*words}


DEPLOYING: Final[dict[str, Callable[[tuple[str, ...]], None]]] = {
    "/opt/litestar-tasks/.venv/bin/pip": check_pip_with_hashes,
    "cp": check_deployment,
    "docker": check_docker,
    "fly": check_deployment,
    "kubectl": check_deployment,
    "systemctl": check_deployment,
}

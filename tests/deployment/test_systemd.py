"""The units of docs/deployment are what systemd accepts, give little power, and start what they say."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.deployment.files import ENDING, MIGRATE, text
from tests.deployment.serving import SETTINGS, serving
from tests.processes import command, copied_project, environment, free_port

API, MIGRATION = "litestar-tasks.service", "litestar-tasks-migrate.service"
PROGRAM = "/opt/litestar-tasks/.venv/bin/litestar"
MOST_EXPOSED = 15  # tenths; "OK" is below 45
DENY_WRITE_EXECUTE = (65, 1, 0, 0, 0)  # PR_SET_MDWE, Linux 6.3: what MemoryDenyWriteExecute= does to system calls

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd, Debian's package")


def lines(unit: str, name: str) -> list[str]:
    return [line.removeprefix(f"{name}=") for line in text(unit).splitlines() if line.startswith(f"{name}=")]


def hardening(unit: str) -> list[str]:
    _, _, after = text(unit).partition("\nDynamicUser=")
    return after.partition("\n\n")[0].splitlines()


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def installed(tmp_path: Path) -> list[str]:
    """The paths of both units, for a machine that has the program and the folder elsewhere."""
    for unit in (API, MIGRATION):
        elsewhere = text(unit).replace(PROGRAM, "/bin/true").replace("=/opt/litestar-tasks\n", "=/\n")
        (tmp_path / unit).write_text(elsewhere)
    return [str(tmp_path / unit) for unit in (API, MIGRATION)]


@needs_systemd
def test_systemd_accepts_the_units(installed: list[str]) -> None:
    verified = analyze("verify", *installed)
    assert (verified.returncode, verified.stderr) == (0, "")
    Path(installed[0]).write_text(Path(installed[0]).read_text().replace("UMask=", "Umask="))
    assert "Unknown key" in analyze("verify", *installed).stderr


@needs_systemd
def test_units_expose_little(installed: list[str]) -> None:
    for unit in installed:
        rated = analyze("security", "--offline=yes", f"--threshold={MOST_EXPOSED}", unit)
        assert rated.returncode == 0, rated.stdout


def test_both_units_have_the_same_walls() -> None:
    assert hardening(API) == hardening(MIGRATION)
    assert "ProtectSystem=strict" in hardening(API)


def test_the_server_has_the_time_to_end_and_the_owner_is_unknown_to_it() -> None:
    [seconds] = lines(API, "TimeoutStopSec")
    assert int(seconds) > ENDING
    assert lines(API, "KillMode") == ["mixed"]
    assert lines(API, "EnvironmentFile") == ["/etc/litestar-tasks/api.env"]
    assert lines(MIGRATION, "EnvironmentFile") == ["/etc/litestar-tasks/api.env", "/etc/litestar-tasks/owner.env"]


def test_the_command_of_the_server_serves() -> None:
    [start], [variable], port = lines(API, "ExecStart"), lines(API, "Environment"), free_port()
    program, *options = shlex.split(start.replace("8000", str(port)))
    assert program == PROGRAM
    name, _, value = variable.partition("=")
    variables = environment() | SETTINGS | {name: value}
    with copied_project() as folder, serving([*denied(), "run", *options[1:]], folder, port, variables) as url:
        assert httpx.get(f"{url}/ready").status_code == 200


def denied() -> list[str]:
    """Return what starts `litestar` without memory that is written and executed, where the kernel can refuse it."""
    litestar = str(Path(sys.executable).parent / "litestar")
    code = f"import ctypes, os, sys; ctypes.CDLL(None).prctl{DENY_WRITE_EXECUTE}; os.execv({litestar!r}, sys.argv[1:])"
    return [sys.executable, "-c", code, litestar]


def test_the_command_of_the_job_migrates(create_database: Callable[[], str]) -> None:
    [start] = lines(MIGRATION, "ExecStart")
    assert start == MIGRATE.replace("litestar", PROGRAM, 1)
    with copied_project() as folder:
        migrated = command(folder, *MIGRATE.split(), **SETTINGS, DATABASE_URL_UNPOOLED=create_database())
    assert migrated.returncode == 0, migrated.stderr
    assert '"migrated"' in migrated.stdout + migrated.stderr

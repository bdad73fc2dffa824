"""The files for Fly, Render and Railway have the form that these document, and fit the image."""

from typing import Any

import pytest

from tests.deployment.files import ENDING, FOLDER, MIGRATE, document, text
from tests.deployment.image import instruction
from tests.processes import ROOT

GRACE = range(int(ENDING) + 2, 301)  # seconds from SIGTERM to SIGKILL; Fly and Render allow up to 300
PORT = int(instruction("EXPOSE"))


@pytest.fixture
def fly() -> dict[str, Any]:
    return dict(document("fly.toml"))


@pytest.fixture
def render() -> dict[str, Any]:
    [service] = document("render.yaml")["services"]
    return dict(service)


@pytest.fixture
def railway() -> dict[str, Any]:
    return dict(document("railway.json"))


def test_each_builds_the_containerfile(fly: dict[str, Any], render: dict[str, Any], railway: dict[str, Any]) -> None:
    containerfile = ROOT / "Containerfile"
    assert (FOLDER / fly["build"]["dockerfile"]).resolve() == containerfile  # flyctl starts at the file's own folder
    assert (render["runtime"], ROOT / render["dockerfilePath"]) == ("docker", containerfile)
    assert ROOT / render["dockerContext"] == ROOT
    assert railway["build"] == {"builder": "DOCKERFILE", "dockerfilePath": containerfile.name}


def test_each_migrates_before_the_new_version_starts(
    fly: dict[str, Any], render: dict[str, Any], railway: dict[str, Any]
) -> None:
    assert fly["deploy"]["release_command"] == render["preDeployCommand"] == MIGRATE
    assert railway["deploy"]["preDeployCommand"] == [MIGRATE]
    assert render["plan"] != "free"  # which has no such command, and no delay before SIGKILL either


def test_each_asks_whether_the_service_is_ready(
    fly: dict[str, Any], render: dict[str, Any], railway: dict[str, Any]
) -> None:
    [service] = fly["services"]
    [check] = service["http_checks"]
    assert (check["path"], service["internal_port"]) == ("/ready", PORT)
    assert render["healthCheckPath"] == railway["deploy"]["healthcheckPath"] == "/ready"
    assert f"PORT={PORT}" in instruction("ENV")  # Render and Railway set their own


def test_each_lets_requests_end(fly: dict[str, Any], render: dict[str, Any], railway: dict[str, Any]) -> None:
    assert fly["kill_signal"] == "SIGTERM"
    delays = fly["kill_timeout"], render["maxShutdownDelaySeconds"], railway["deploy"]["drainingSeconds"]
    assert all(delay in GRACE for delay in delays)


def test_railway_gets_numbers_where_it_wants_numbers(railway: dict[str, Any]) -> None:
    numbers = {
        name: value for name, value in railway["deploy"].items() if name.endswith(("Seconds", "Timeout", "Retries"))
    }
    assert {type(value) for value in numbers.values()} == {int}  # its schema; a string stops the deployment


def test_fly_has_no_port_that_is_not_encrypted(fly: dict[str, Any]) -> None:
    ports = [(port["port"], port["handlers"]) for service in fly["services"] for port in service["ports"]]
    assert ports == [(443, ["tls", "http"])]


def test_render_asks_for_the_values_of_secrets(render: dict[str, Any]) -> None:
    names = {entry["key"] for entry in render["envVars"] if entry == {"key": entry["key"], "sync": False}}
    assert (
        names
        == {"DATABASE_URL", "DATABASE_URL_UNPOOLED", "BETTER_AUTH_URL"}
        == {entry["key"] for entry in render["envVars"]}
    )


KNOWN = {
    "fly.toml": {
        "": {"app", "primary_region", "kill_signal", "kill_timeout", "build", "deploy", "services", "vm"},
        "build": {"dockerfile"},
        "deploy": {"release_command", "strategy"},
        "services": {
            *("protocol", "internal_port", "ports", "concurrency", "http_checks"),
            *("auto_stop_machines", "auto_start_machines", "min_machines_running"),
        },
        "vm": {"size", "memory"},
    },
    "railway.json": {
        "": {"$schema", "build", "deploy"},
        "build": {"builder", "dockerfilePath"},
        "deploy": {
            *("preDeployCommand", "healthcheckPath", "healthcheckTimeout", "overlapSeconds", "drainingSeconds"),
            *("restartPolicyType", "restartPolicyMaxRetries"),
        },
    },
    "render.yaml": {
        "": {"services"},
        "services": {
            *("type", "name", "runtime", "plan", "region", "dockerfilePath", "dockerContext", "preDeployCommand"),
            *("healthCheckPath", "maxShutdownDelaySeconds", "envVars"),
        },
    },
}
"""The fields in the places where the platforms' references have them (read in November 2026)."""


@pytest.mark.parametrize("name", KNOWN)
def test_fields_stand_where_the_platform_documents_them(name: str) -> None:
    whole = document(name)
    for place, fields in KNOWN[name].items():
        part = whole[place] if place else whole
        for entry in part if isinstance(part, list) else [part]:
            assert entry.keys() == fields, place


@pytest.mark.parametrize("name", KNOWN)
def test_no_file_holds_a_secret(name: str) -> None:
    assert "://" not in text(name).replace("https://railway.com/railway.schema.json", "")

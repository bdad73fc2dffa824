"""docs/deployment/compose is accepted by the schema of compose files and by Caddy, and gives little power."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from check_jsonschema.builtin_schemas import get_builtin_schema  # type: ignore[import-untyped]
from dotenv import dotenv_values

from app.settings import Settings
from tests.deployment.files import ENDING, FOLDER, MIGRATE, document, text
from tests.deployment.image import command
from tests.documents.blocks import the_block
from tests.processes import ROOT, environment

OWN = {"api", "migrate"}
PASSWORDS = {"POSTGRES_PASSWORD", "TASKS_APP_PASSWORD", "TASKS_OWNER_PASSWORD"}
EXAMPLE = dotenv_values(FOLDER / "compose" / ".env.example")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(document("compose/compose.yaml"))


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Any]:
    return dict(compose["services"])


def interpolated(value: str, given: dict[str, str]) -> str:
    """Put in what `${NAME:?}` and `${NAME:-}` stand for, the two forms of the specification that are used."""
    return re.sub(r"\$\{(\w+):[?-]\}", lambda name: given.get(name[1], ""), value)


def test_the_file_is_what_compose_accepts(compose: dict[str, Any]) -> None:
    schema = get_builtin_schema("vendor.compose-spec")
    jsonschema.validate(compose, schema)
    with pytest.raises(jsonschema.ValidationError, match="imagee"):
        jsonschema.validate({**compose, "services": {"api": {"imagee": "x"}}}, schema)


def test_the_image_is_that_of_the_containerfile(services: dict[str, Any]) -> None:
    for name in OWN:
        build = services[name]["build"]
        context = (FOLDER / "compose" / build["context"]).resolve()
        assert (context, context / build["dockerfile"]) == (ROOT, ROOT / "Containerfile")
        assert services[name]["user"] == "10001:10001"


def test_migrations_end_before_the_service_starts(services: dict[str, Any]) -> None:
    assert " ".join(services["migrate"]["command"]) == MIGRATE
    assert services["migrate"].get("restart", "no") == "no"
    needed = {(name, other): how["condition"] for name in services for other, how in needs(services, name).items()}
    assert needed == {
        ("migrate", "postgres"): "service_healthy",
        ("api", "migrate"): "service_completed_successfully",
        ("api", "valkey"): "service_healthy",
        ("caddy", "api"): "service_healthy",
    }


def needs(services: dict[str, Any], name: str) -> dict[str, Any]:
    return dict(services[name].get("depends_on", {}))


def test_all_that_stays_is_asked_for_its_health(services: dict[str, Any]) -> None:
    assert all("healthcheck" in service for name, service in services.items() if name != "migrate")
    *program, code = services["api"]["healthcheck"]["test"]
    *known, documented = command("HEALTHCHECK")
    assert program == ["CMD", "python", *known[1:]]
    assert code == documented.replace("'+os.environ['PORT']+'/health", "8000/ready").replace("import os, ", "import ")


def test_nothing_has_more_power_than_it_needs(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service.get("user", "root") != "root" or (name, service["cap_add"]) == ("caddy", ["NET_BIND_SERVICE"])
        assert service.get("read_only") or name == "postgres"
    assert {name for name, service in services.items() if "ports" in service} == {"caddy"}
    assert {port.split(":")[1] for port in services["caddy"]["ports"]} == {"443", "443/udp"}


def test_databases_are_reached_by_the_service_alone(compose: dict[str, Any], services: dict[str, Any]) -> None:
    networks = {name: set(service["networks"]) for name, service in services.items()}
    assert {name for name, joined in networks.items() if joined == {"back"}} == {"migrate", "postgres", "valkey"}
    assert (networks["api"], networks["caddy"]) == ({"front", "back"}, {"front"})
    assert compose["networks"]["back"]["internal"]
    [subnet] = compose["networks"]["front"]["ipam"]["config"]
    assert services["api"]["environment"]["TRUSTED_PROXIES"] == subnet["subnet"]


def test_settings_are_complete_and_the_owner_is_known_to_migrations_alone(services: dict[str, Any]) -> None:
    given = dict.fromkeys(PASSWORDS, "0f" * 24) | {"BETTER_AUTH_URL": "https://app.example.com"}
    for name in OWN:
        variables = {key: interpolated(value, given) for key, value in services[name]["environment"].items()}
        settings = Settings.from_env(variables)
        assert settings.database_url.startswith("postgresql://tasks_app:0f")
        assert bool(settings.database_url_unpooled) is (name == "migrate")
    assert "tasks_owner" not in str(services["api"])


def test_each_variable_of_the_file_is_in_the_example_without_a_secret() -> None:
    assert set(re.findall(r"\$\{(\w+)", text("compose/compose.yaml"))) == EXAMPLE.keys()
    assert not any(value for name, value in EXAMPLE.items() if name != "DOMAIN")
    assert (
        subprocess.run(["git", "check-ignore", "-q", FOLDER / "compose" / ".env"], cwd=ROOT, check=False).returncode
        == 0
    )


def test_requests_have_the_time_to_end(services: dict[str, Any]) -> None:
    assert int(services["api"]["stop_grace_period"].removesuffix("s")) > ENDING


def test_caddy_does_what_the_documentation_says() -> None:
    _, _, written = text("compose/Caddyfile").partition("\n")
    documented = the_block("docs/security.md", "caddyfile", "api.example.com")
    assert written.replace("{$DOMAIN}", "api.example.com").replace("api:8000", "127.0.0.1:8000") == documented


@pytest.mark.skipif(shutil.which("caddy") is None, reason="needs caddy, Debian's package")
def test_caddy_accepts_its_file(tmp_path: Path) -> None:
    adapted = subprocess.run(
        ["caddy", "adapt", "--validate", "--config", FOLDER / "compose" / "Caddyfile"],
        env=environment(HOME=str(tmp_path), DOMAIN="tasks.example.org"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert '"host":["tasks.example.org"]' in adapted.stdout
    assert '"dial":"api:8000"' in adapted.stdout

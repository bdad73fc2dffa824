"""docs/deployment/kubernetes is accepted by old and new clusters, and fits the service."""

from typing import Any

import kubernetes_validate
import pytest
import yaml  # type: ignore[import-untyped]

from app.settings import VERSION
from tests.deployment.files import ENDING, FOLDER, MIGRATE, PROXIES, objects
from tests.documents.blocks import blocks, commands

FILES = sorted(path.name for path in (FOLDER / "kubernetes").iterdir())
OLDEST = "1.25"  # the oldest whose schemas the package has
OWNER = {"secretRef": {"name": "litestar-tasks-owner"}}


@pytest.fixture(scope="module")
def api() -> dict[str, Any]:
    return objects("api")


def pod(entry: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    spec = entry["spec"].get("jobTemplate", entry)["spec"]["template"]["spec"]
    [container] = spec["containers"]
    return spec, container


@pytest.fixture(params=[("api", "Deployment"), ("migrate", "Job"), ("purge", "CronJob")], ids=str)
def workload(request: pytest.FixtureRequest) -> tuple[dict[str, Any], dict[str, Any]]:
    file, kind = request.param
    return pod(objects(file)[kind])


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
@pytest.mark.parametrize("file", FILES)
def test_every_object_has_the_form_that_clusters_accept(file: str, version: str) -> None:
    for entry in yaml.safe_load_all((FOLDER / "kubernetes" / file).read_text()):
        kubernetes_validate.validate(entry, version, strict=True)


def test_a_field_that_no_cluster_knows_is_seen(api: dict[str, Any]) -> None:
    wrong = {**api["Service"], "spec": {**api["Service"]["spec"], "prots": []}}
    with pytest.raises(kubernetes_validate.ValidationError, match="prots"):
        kubernetes_validate.validate(wrong, OLDEST, strict=True)


def test_everything_is_about_the_same_pods_and_their_port(api: dict[str, Any]) -> None:
    assert api.keys() == {"Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "Ingress"}
    deployment, service = api["Deployment"]["spec"], api["Service"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    [spread] = deployment["template"]["spec"]["topologySpreadConstraints"]
    budget = api["PodDisruptionBudget"]["spec"]
    selectors = [deployment["selector"], spread["labelSelector"], budget["selector"]]
    assert [*(selector["matchLabels"] for selector in selectors), service["selector"]] == [labels] * 4
    ports = {port["name"]: port["containerPort"] for port in pod(api["Deployment"])[1]["ports"]}
    assert ports.keys() == {"http", "metrics"}
    assert [entry["targetPort"] for entry in service["ports"]] == ["http"]
    assert ports["http"] == 8000
    [rule] = api["Ingress"]["spec"]["rules"]
    [path] = rule["http"]["paths"]
    assert path["backend"]["service"] == {"name": api["Service"]["metadata"]["name"], "port": {"name": "http"}}
    assert api["Ingress"]["spec"]["tls"][0]["hosts"] == [rule["host"]]


def test_metrics_are_scraped_at_their_own_port_to_which_nothing_leads_from_outside(api: dict[str, Any]) -> None:
    template = api["Deployment"]["spec"]["template"]
    _, container = pod(api["Deployment"])
    [port] = [str(entry["containerPort"]) for entry in container["ports"] if entry["name"] == "metrics"]
    given = {entry["name"]: entry["value"] for entry in container["env"]}
    assert (given["METRICS_PORT"], template["metadata"]["annotations"]["prometheus.io/port"]) == (port, port)
    assert given["METRICS_HOST"] == "::"  # both families, as the service itself
    assert "metrics" not in str(api["Service"]["spec"]) + str(api["Ingress"]["spec"])


def test_the_autoscaler_alone_says_how_many_pods_there_are(api: dict[str, Any]) -> None:
    scaler, deployment = api["HorizontalPodAutoscaler"]["spec"], api["Deployment"]
    target = {"apiVersion": deployment["apiVersion"], "kind": "Deployment", "name": deployment["metadata"]["name"]}
    assert scaler["scaleTargetRef"] == target
    assert "replicas" not in deployment["spec"]
    assert scaler["minReplicas"] > api["PodDisruptionBudget"]["spec"]["maxUnavailable"]


def test_probes_ask_routes_that_ask_no_database(api: dict[str, Any]) -> None:
    _, container = pod(api["Deployment"])
    paths = {name: probe["httpGet"]["path"] for name, probe in container.items() if name.endswith("Probe")}
    assert paths == {"startupProbe": "/health", "readinessProbe": "/ready", "livenessProbe": "/health"}


def test_pods_have_the_time_to_finish_accepted_requests(api: dict[str, Any]) -> None:
    spec, container = pod(api["Deployment"])
    [_, pause] = container["lifecycle"]["preStop"]["exec"]["command"]
    assert int(pause) >= PROXIES
    assert spec["terminationGracePeriodSeconds"] > int(pause) + ENDING


def test_migrations_are_a_job_that_alone_knows_the_owner() -> None:
    job, deployment = pod(objects("migrate")["Job"])[1], pod(objects("api")["Deployment"])[1]
    assert " ".join(job["command"]) == MIGRATE
    assert OWNER in job["envFrom"]
    assert OWNER not in deployment["envFrom"]
    secrets = yaml.safe_load_all((FOLDER / "kubernetes" / "secrets.example.yaml").read_text())
    assert {entry["metadata"]["name"] for entry in secrets} == {
        source["secretRef"]["name"] for source in job["envFrom"]
    }


def test_deleted_tasks_are_removed_every_night_with_the_rights_of_the_service() -> None:
    job = objects("purge")["CronJob"]
    container, deployment = pod(job)[1], pod(objects("api")["Deployment"])[1]
    assert container["command"] in [list(words) for block in blocks("bash") for words in commands(block)]
    assert container["envFrom"] == deployment["envFrom"]
    assert job["spec"]["schedule"] == "17 3 * * *"


def test_secrets_have_no_values() -> None:
    for entry in yaml.safe_load_all((FOLDER / "kubernetes" / "secrets.example.yaml").read_text()):
        assert set(entry["stringData"].values()) == {""}


def test_containers_have_no_power_and_bounds(workload: tuple[dict[str, Any], dict[str, Any]]) -> None:
    spec, container = workload
    assert container["image"].endswith(f":{VERSION}")
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not spec["automountServiceAccountToken"]
    assert container["resources"].keys() == {"requests", "limits"}

"""The manifests: Kubernetes' own schemas take them, what they name exists, and the settings agree with them."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml  # type: ignore[import-untyped]

from app.llm.provider_keys import KEY_VARIABLES
from app.server.stop_deadline import STOP_SECONDS
from app.settings import Settings
from app.settings_loading import unknown_settings
from tests.deploy.operator_schemas import SCHEMAS

ROOT = Path(__file__).parents[2]
VERSIONS = ("1.31", "1.34", "1.37")
"""Releases of Kubernetes, from one that was new two years ago."""

Manifest = dict[str, Any]


def read(folder: Path) -> list[Manifest]:
    """Return the documents of a folder's files."""
    return list(chain.from_iterable(yaml.safe_load_all(file.read_text()) for file in sorted(folder.glob("*.yml"))))


MANIFESTS = read(ROOT / "deploy" / "kubernetes")
OF_THE_OPERATOR = read(ROOT / "monitoring" / "kubernetes")
POD_SECURITY = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def of_kind(kind: str) -> list[Manifest]:
    """Return the manifests of a kind."""
    return [each for each in MANIFESTS if each["kind"] == kind]


def name_of(manifest: Manifest) -> str:
    """Return a manifest's kind and name."""
    return f"{manifest['kind']} {manifest['metadata']['name']}"


DEPLOYMENTS = {each["metadata"]["name"]: each["spec"]["template"]["spec"] for each in of_kind("Deployment")}
LABELS = {each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"] for each in of_kind("Deployment")}


def container_of(deployment: str) -> Manifest:
    """Return the one container of a deployment."""
    [container] = DEPLOYMENTS[deployment]["containers"]
    found: Manifest = container
    return found


def environment_of(deployment: str) -> dict[str, str]:
    """Return the variables of a container, a secret's by its own name in angle brackets."""
    container = container_of(deployment)
    maps = {each["metadata"]["name"]: each["data"] for each in of_kind("ConfigMap")}
    shared: dict[str, str] = {}
    for source in container["envFrom"]:
        if "configMapRef" in source:
            shared |= maps[source["configMapRef"]["name"]]
    own = {
        each["name"]: each.get("value") or f"<{each['valueFrom']['secretKeyRef']['key']}>" for each in container["env"]
    }
    return {**shared, **own}


def settings_of(deployment: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """Return the settings that a container's process would read."""
    monkeypatch.chdir(tmp_path)  # where no .env is
    keys = tmp_path / "keys"
    keys.write_text("alice:a-key-of-more-than-sixteen\n")
    for name, value in environment_of(deployment).items():
        own = value.replace("<database-url>", "postgresql://studio:password@postgres/studio")
        monkeypatch.setenv(name, str(keys) if name == "SPARKLIO_API_KEYS_FILE" else own)
    assert [*unknown_settings()] == []
    return Settings()


@pytest.mark.deploy("kubernetes_validate")
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", MANIFESTS, ids=name_of)
def test_kubernetes_takes_each_manifest(manifest: Manifest, version: str) -> None:
    """Strictly: a misspelt key is an error."""
    import kubernetes_validate  # of an environment of its own

    kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.deploy("kubernetes_validate")
def test_a_misspelt_key_would_be_found() -> None:
    import kubernetes_validate  # of an environment of its own

    wrong = {**MANIFESTS[0], "metdata": {}}
    with pytest.raises(kubernetes_validate.ValidationError, match="metdata"):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("manifest", OF_THE_OPERATOR, ids=name_of)
def test_the_operator_s_own_kinds_are_as_its_documentation_has_them(manifest: Manifest) -> None:
    jsonschema.validate(manifest, SCHEMAS[manifest["kind"]])


def test_there_is_one_of_each_role() -> None:
    assert {name: environment_of(name)["SPARKLIO_ROLE"] for name in DEPLOYMENTS} == {
        "sparklio-api": "api",
        "sparklio-worker": "worker",
    }


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_the_variables_are_settings_and_agree_with_the_rest(
    deployment: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings, container = settings_of(deployment, monkeypatch, tmp_path), container_of(deployment)
    assert {each["name"]: each["containerPort"] for each in container["ports"]} == {
        "http": settings.port,
        "metrics": settings.metrics_port,
    }
    probe = container["readinessProbe"]
    noticed = probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]
    assert not settings.drain_time or settings.drain_time > noticed
    grace = DEPLOYMENTS[deployment]["terminationGracePeriodSeconds"]
    assert grace >= settings.drain_time + STOP_SECONDS + 5
    places = {each["mountPath"] for each in container["volumeMounts"]}
    assert {"/var/lib/sparklio", str(settings.metrics_dir), "/tmp"} <= places


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_no_pod_has_more_rights_than_it_needs(deployment: str) -> None:
    pod = DEPLOYMENTS[deployment]
    assert POD_SECURITY.items() <= pod["securityContext"].items()
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] != 0
    assert pod["automountServiceAccountToken"] is False
    assert CONTAINER_SECURITY.items() <= container_of(deployment)["securityContext"].items()


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_no_service_s_variables_are_taken_for_settings(deployment: str) -> None:
    """Kubernetes sets SPARKLIO_PORT=tcp://... for a Service of this name."""
    assert "sparklio" in {each["metadata"]["name"] for each in of_kind("Service")}
    assert DEPLOYMENTS[deployment]["enableServiceLinks"] is False


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_probes_ask_what_is_meant_for_them(deployment: str) -> None:
    """What restarts a container checks nothing: no restart helps where a database is away."""
    container = container_of(deployment)
    asked = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert asked == {"startup": "/health/live", "liveness": "/health/live", "readiness": "/health/ready"}
    assert {container[f"{name}Probe"]["httpGet"]["port"] for name in asked} == {"http"}


def selected(selector: dict[str, str]) -> set[str]:
    """Return the deployments whose pods have these labels."""
    return {name for name, labels in LABELS.items() if selector.items() <= labels.items()}


def test_services_and_budgets_select_the_pods_that_they_are_named_after() -> None:
    services = {each["metadata"]["name"]: selected(each["spec"]["selector"]) for each in of_kind("Service")}
    assert services == {"sparklio": {"sparklio-api"}, "sparklio-metrics": {*DEPLOYMENTS}}
    budgets = {
        each["metadata"]["name"]: selected(each["spec"]["selector"]["matchLabels"])
        for each in of_kind("PodDisruptionBudget")
    }
    assert budgets == {name: {name} for name in DEPLOYMENTS}


def test_the_service_monitor_of_the_kit_finds_every_pod_once_and_names_the_job() -> None:
    [monitor] = [each["spec"] for each in OF_THE_OPERATOR if each["kind"] == "ServiceMonitor"]
    wanted = monitor["selector"]["matchLabels"]
    [service] = [each for each in of_kind("Service") if wanted.items() <= each["metadata"]["labels"].items()]
    assert selected(service["spec"]["selector"]) == {*DEPLOYMENTS}
    assert [endpoint["port"] for endpoint in monitor["endpoints"]] == [
        port["name"] for port in service["spec"]["ports"]
    ]
    assert service["metadata"]["labels"][monitor["jobLabel"]] == "sparklio-backend"
    assert {port["targetPort"] for port in service["spec"]["ports"]} == {"metrics"}


def test_the_page_s_command_makes_the_secret_with_the_keys_that_pods_ask_for() -> None:
    page = (ROOT / "docs" / "hosts.md").read_text()
    commands = dict(re.findall(r"kubectl create secret generic ([\w-]+) (.*)", page))
    made = set(re.findall(r"--from-(?:literal|file)=([\w-]+)=", commands["sparklio"]))
    asked = {
        each["valueFrom"]["secretKeyRef"]["key"]
        for name in DEPLOYMENTS
        for each in container_of(name)["env"]
        if "valueFrom" in each
    }
    volumes = [volume["secret"] for pod in DEPLOYMENTS.values() for volume in pod["volumes"] if "secret" in volume]
    assert made == asked | {item["key"] for volume in volumes for item in volume["items"]}


def test_a_worker_has_the_key_of_its_model_whichever_provider_it_is_of_and_an_api_none() -> None:
    """All keys of the Secret are variables, so that another model takes no other manifest."""
    secrets = {
        name: [each["secretRef"] for each in container_of(name)["envFrom"] if "secretRef" in each]
        for name in DEPLOYMENTS
    }
    assert secrets == {"sparklio-api": [], "sparklio-worker": [{"name": "sparklio-model"}]}
    command = r"kubectl create secret generic sparklio-model --from-literal=(\w+)=KEY"
    [variable] = re.findall(command, (ROOT / "docs" / "hosts.md").read_text())
    provider = environment_of("sparklio-worker")["SPARKLIO_LLM"].partition(":")[0]
    assert variable in KEY_VARIABLES[provider]


def test_the_metrics_are_not_on_the_service_that_the_outside_reaches() -> None:
    [public] = [each["spec"] for each in of_kind("Service") if each["metadata"]["name"] == "sparklio"]
    assert [port["targetPort"] for port in public["ports"]] == ["http"]
    assert "SPARKLIO_METRICS_PORT" in environment_of("sparklio-api")

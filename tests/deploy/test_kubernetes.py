"""The Kubernetes manifests are valid by Kubernetes' own schemas and agree with the service."""

import re
from pathlib import Path
from typing import Any

import pytest

from app.environment import variable
from app.http.application import Application
from app.settings import Settings
from app.telemetry.metrics import Metrics
from tests.conftest import ROOT

yaml = pytest.importorskip("yaml", reason="needs PyYAML, of the development requirements")
FOLDER = ROOT / "deploy" / "kubernetes"
MANIFESTS = sorted(
    path for path in FOLDER.glob("*.yaml") if path.stem not in {"kustomization"}
    and "values" not in path.stem
)  # fmt: skip
VERSIONS = ("1.30", "1.33", "1.36")


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text("utf-8")) if document]


def container() -> dict[str, Any]:
    [deployment] = documents(FOLDER / "deployment.yaml")
    [found] = deployment["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_manifest_is_valid_by_the_schema_of_its_kind(path: Path, version: str) -> None:
    validator = pytest.importorskip(
        "kubernetes_validate", reason="needs kubernetes-validate, which brings the schemas"
    )
    for document in documents(path):
        validator.validate(document, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_overlay_for_cameras_changes_the_network_policy_alone(version: str) -> None:
    validator = pytest.importorskip(
        "kubernetes_validate", reason="needs kubernetes-validate, which brings the schemas"
    )
    overlay = FOLDER / "overlays" / "cameras"
    [kustomization] = documents(overlay / "kustomization.yaml")
    assert (overlay / kustomization["resources"][0]).resolve() == FOLDER
    [patch] = [documents(overlay / each["path"])[0] for each in kustomization["patches"]]
    validator.validate(patch, version, strict=True)
    [base] = documents(FOLDER / "network-policy.yaml")
    assert (patch["kind"], patch["metadata"]["name"]) == (base["kind"], base["metadata"]["name"])
    assert patch["spec"].pop("egress")
    del base["spec"]["egress"]
    patch["spec"]["ingress"] = base["spec"]["ingress"]  # a patch leaves it as it is
    assert patch["spec"] == base["spec"]


def test_every_manifest_is_listed() -> None:
    [kustomization] = documents(FOLDER / "kustomization.yaml")
    assert sorted(kustomization["resources"]) == [path.name for path in MANIFESTS]


def test_the_probes_ask_for_paths_that_exist() -> None:
    paths = Application(Settings()).api.openapi()["paths"]
    probes = [container()[f"{name}Probe"] for name in ("startup", "readiness", "liveness")]
    assert {probe["httpGet"]["path"] for probe in probes} <= paths.keys()


def test_its_variables_are_settings() -> None:
    known = {variable(name) for name in Settings.model_fields}
    assert {given["name"] for given in container()["env"]} <= known


def test_there_is_time_to_drain_and_stop_before_the_kill() -> None:
    [deployment] = documents(FOLDER / "deployment.yaml")
    grace_s = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    given = {env["name"]: env.get("value") for env in container()["env"]}
    assert float(given["GATEWAY_STOP_TIMEOUT_S"]) < grace_s
    assert float(given["GATEWAY_DRAIN_S"]) < float(given["GATEWAY_STOP_TIMEOUT_S"])


def test_the_autoscaler_goes_by_a_share_of_what_the_service_counts() -> None:
    [autoscaler] = documents(FOLDER / "horizontal-pod-autoscaler.yaml")
    [pods] = [each["pods"] for each in autoscaler["spec"]["metrics"] if each["type"] == "Pods"]
    [rules] = documents(FOLDER / "prometheus-adapter-values.yaml")
    [rule] = rules["rules"]["custom"]
    assert pods["metric"]["name"] == rule["name"]["as"]
    assert pods["target"]["averageValue"].endswith("m")  # thousandths of the share
    samples = {sample.name for family in Metrics().families() for sample in family.samples}
    used = set(re.findall(r"gateway_\w+", rule["seriesQuery"] + rule["metricsQuery"]))
    assert used == {"gateway_worker_busy_seconds_total", "gateway_workers"}
    assert used <= samples


def test_it_runs_without_rights() -> None:
    security = container()["securityContext"]
    assert security["readOnlyRootFilesystem"]
    assert not security["allowPrivilegeEscalation"]
    assert security["capabilities"] == {"drop": ["ALL"]}

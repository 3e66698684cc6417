"""The manifests for KServe agree with KServe's own classes, Kubernetes and the service."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.environment import variable
from app.http.application import Application
from app.settings import Settings
from app.settings_sources import load_settings
from tests.conftest import ROOT
from tests.oip_clients.environment import answer_of

yaml = pytest.importorskip("yaml", reason="needs PyYAML, of the development requirements")
FOLDER = ROOT / "deploy" / "kserve"
RUNTIME, SERVICE = FOLDER / "serving-runtime.yaml", FOLDER / "inference-service.yaml"
GRACE_S = 30  # of Kubernetes, where a runtime sets none


def document(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return found


def container() -> dict[str, Any]:
    [found] = document(RUNTIME)["spec"]["containers"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("path", [RUNTIME, SERVICE], ids=lambda path: path.stem)
def test_a_manifest_has_only_fields_that_kserve_knows(path: Path, tmp_path: Path) -> None:
    given = tmp_path / "manifest.json"
    given.write_text(json.dumps(document(path)))
    assert answer_of("kserve_manifest.py", given) == []
    wrong = document(path)
    wrong["spec"]["surplus"] = 2
    below = wrong["spec"]["predictor"]["model"] if path == SERVICE else wrong["spec"]["containers"]
    (below if path == SERVICE else below[0])["surplus"] = 2
    given.write_text(json.dumps(wrong))
    where = "predictor.model" if path == SERVICE else "containers"
    found = answer_of("kserve_manifest.py", given)
    assert sorted(found) == sorted(["spec.surplus", f"spec.{where}.surplus"])


@pytest.mark.parametrize("version", ["1.30", "1.33", "1.36"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_its_pod_is_one_of_kubernetes(version: str) -> None:
    validator = pytest.importorskip(
        "kubernetes_validate", reason="needs kubernetes-validate, which brings the schemas"
    )
    spec = document(RUNTIME)["spec"]
    pod = {key: spec[key] for key in ("containers", "volumes")}
    validator.validate(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": pod},
        version,
        strict=True,
    )


def test_the_service_is_one_of_the_runtime() -> None:
    runtime, service = document(RUNTIME), document(SERVICE)
    model = service["spec"]["predictor"]["model"]
    assert model["runtime"] == runtime["metadata"]["name"]
    formats = [(one["name"], one["version"]) for one in runtime["spec"]["supportedModelFormats"]]
    assert (model["modelFormat"]["name"], model["modelFormat"]["version"]) in formats
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]
    grpc = "GATEWAY_GRPC_PORT" in {one["name"] for one in container()["env"]}
    assert ("grpc-v2" in runtime["spec"]["protocolVersions"]) == grpc


def test_its_variables_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    name = document(SERVICE)["metadata"]["name"]
    for given in container()["env"]:
        monkeypatch.setenv(given["name"], given["value"].replace("{{.Name}}", name))
    settings = load_settings()
    assert settings.aliases == name
    assert settings.drain_s < settings.stop_timeout_s < GRACE_S
    assert {one["name"] for one in container()["env"]} <= {
        variable(field) for field in Settings.model_fields
    }


def test_its_probes_ask_for_paths_that_exist() -> None:
    paths = Application(Settings()).api.openapi()["paths"]
    probes = [
        container()[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")
    ]
    assert [probe["path"] for probe in probes] == ["/readyz", "/readyz", "/healthz"]
    assert {probe["path"] for probe in probes} <= paths.keys()
    assert {probe["port"] for probe in probes} == {container()["ports"][0]["containerPort"]}

"""What one way to deploy has against attacks and runaways, all of them have."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from app.environment import variable
from app.settings_sources import load_settings
from tests.conftest import ROOT
from tests.deploy import compose_file

yaml = pytest.importorskip("yaml", reason="needs PyYAML, of the development requirements")
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")


@dataclass(frozen=True, slots=True)
class Deployment:
    """What one way to deploy grants and limits."""

    name: str
    variables: Mapping[str, str]
    read_only: bool
    own_user: bool
    no_new_privileges: bool
    no_capabilities: bool
    memory_limit: bool
    restarts: bool


def image_user() -> bool:
    """Whether the image ends with a user that is not root."""
    [user] = re.findall(r"^USER (\d+):\d+$", DOCKERFILE, re.MULTILINE)
    return int(user) > 0


def composed() -> Iterator[Deployment]:
    for label, service in compose_file.gateways():
        yield Deployment(
            label,
            compose_file.environment(service),
            read_only=service["read_only"],
            own_user=image_user() and "user" not in service and "privileged" not in service,
            no_new_privileges="no-new-privileges:true" in service["security_opt"],
            no_capabilities=service["cap_drop"] == ["ALL"] and "cap_add" not in service,
            memory_limit=bool(service["deploy"]["resources"]["limits"]["memory"]),
            restarts=service["restart"] == "unless-stopped",
        )


def kubernetes() -> Deployment:
    text = (ROOT / "deploy" / "kubernetes" / "deployment.yaml").read_text("utf-8")
    pod = yaml.safe_load(text)["spec"]["template"]["spec"]
    [container] = pod["containers"]
    own = container["securityContext"]
    return Deployment(
        "kubernetes",
        {given["name"]: given["value"] for given in container["env"] if "value" in given},
        read_only=own["readOnlyRootFilesystem"],
        own_user=pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0,
        no_new_privileges=not own["allowPrivilegeEscalation"],
        no_capabilities=own["capabilities"] == {"drop": ["ALL"]},
        memory_limit=bool(container["resources"]["limits"]["memory"]),
        restarts=pod.get("restartPolicy", "Always") == "Always",
    )


def systemd() -> Deployment:
    text = (ROOT / "deploy" / "mobilenet-gateway.service").read_text("utf-8")
    lines = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and line[0] != "#")
    return Deployment(
        "systemd",
        dict(re.findall(r"^Environment=(\w+)=(.+)$", text, re.MULTILINE)),
        read_only=lines["ProtectSystem"] == "strict",
        own_user=lines["DynamicUser"] == "yes",
        no_new_privileges=lines["NoNewPrivileges"] == "yes",
        no_capabilities=lines["CapabilityBoundingSet"] == lines["AmbientCapabilities"] == "",
        memory_limit=lines["MemoryMax"] not in ("", "infinity"),
        restarts=lines["Restart"] in ("on-failure", "always"),
    )


DEPLOYMENTS = [*composed(), kubernetes(), systemd()]
every = pytest.mark.parametrize("deployed", DEPLOYMENTS, ids=lambda deployed: deployed.name)


@every
def test_it_has_no_rights_that_it_does_not_need(deployed: Deployment) -> None:
    assert deployed.read_only
    assert deployed.own_user
    assert deployed.no_new_privileges
    assert deployed.no_capabilities


@every
def test_it_is_limited_and_comes_back(deployed: Deployment) -> None:
    assert deployed.memory_limit
    assert deployed.restarts


@every
def test_all_of_its_variables_are_settings_with_values_that_are_accepted(
    deployed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {name: text for name, text in deployed.variables.items() if name.startswith("GATEWAY_")}
    for name, text in given.items():
        monkeypatch.setenv(name, text)
    assert {variable(name) for name in load_settings().model_fields_set} == given.keys()


@pytest.mark.parametrize("file", ["Dockerfile", "deploy/mobilenet-gateway.service"])
def test_no_telemetry_is_sent(file: str) -> None:
    """Compose and Kubernetes run the image, whose environment they do not replace."""
    text = (ROOT / file).read_text("utf-8")
    runtime = text.rpartition("\nFROM ")[2]
    assert "ORT_DISABLE_TELEMETRY=1" in runtime
    for deployed in DEPLOYMENTS:
        assert deployed.variables.get("ORT_DISABLE_TELEMETRY", "1") == "1"

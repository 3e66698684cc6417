"""The compose file and the Dockerfile, checked by their own tools."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.cameras.mqtt.settings import MqttSettings
from app.cameras.settings import read_cameras, read_table
from app.environment import variable
from app.errors import Forbidden, Unauthorized
from app.service.auth import read_keys
from app.settings_sources import load_settings
from tests.conftest import ROOT
from tests.deploy import compose_file

ENVIRONMENTS = sorted(ROOT.glob("deploy/*.env"))


def compose(*options: str) -> dict[str, Any]:
    """The services of the compose file, resolved by compose."""
    if not shutil.which("docker"):
        pytest.skip("needs docker with Compose")
    run = subprocess.run(
        ["docker", "compose", *options, "config", "--format", "json"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "not a docker command" in run.stderr or "unknown flag" in run.stderr:
        pytest.skip("needs Compose v2")
    assert run.returncode == 0, run.stderr
    services: dict[str, Any] = json.loads(run.stdout)["services"]
    return services


def check_service(service: dict[str, Any]) -> None:
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["restart"] == "unless-stopped"
    assert service["logging"]["options"]["max-size"]
    assert int(service["deploy"]["resources"]["limits"]["memory"]) > 0


def gateways(**variables: str) -> list[dict[str, Any]]:
    """The variants of the service, of which a machine runs one."""
    found = compose_file.services(variables).values()
    running = [one for one in found if "models:/models" in one.get("volumes", ())]
    assert len(running) == 5
    return running


def test_every_gateway_sees_new_models() -> None:
    for gateway in gateways():
        assert float(gateway["environment"][variable("reload_poll_s")]) <= 10


def test_every_gateway_gets_as_many_cores_as_it_may_use() -> None:
    for gateway in gateways(CPUS="1.5"):
        assert gateway["deploy"]["resources"]["limits"]["cpus"] == "1.5"


@pytest.mark.parametrize("key", ["", "KEY"])
def test_every_gateway_asks_for_the_keys_of_the_environment(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for gateway in gateways(GATEWAY_API_KEYS=key, GATEWAY_ADMIN_KEY=key and "BOSS"):
        for name, text in compose_file.environment(gateway).items():
            if name.startswith(variable("")):
                monkeypatch.setenv(name, text)
        keys = read_keys(load_settings())
        if not key:
            keys.check("/predict", [])
            with pytest.raises(Forbidden):
                keys.check_admin([(b"x-api-key", b"")])
            continue
        with pytest.raises(Unauthorized):
            keys.check("/predict", [])
        keys.check("/predict", [(b"x-api-key", b"KEY")])
        keys.check_admin([(b"x-api-key", b"BOSS")])


def test_every_gateway_can_create_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for variables, expected in (({}, False), ({"GATEWAY_GENERATE_KEY": "true"}, True)):
        for gateway in gateways(**variables):
            for name, text in compose_file.environment(gateway).items():
                if name.startswith(variable("")):
                    monkeypatch.setenv(name, text)
            assert load_settings().generate_key is expected


def test_a_jetson_may_open_its_gpu() -> None:
    """Only the group video may open L4T's device nodes, not the image's user."""
    assert compose_file.services({})["jetson"]["group_add"] == ["44"]
    assert compose_file.services({"VIDEO_GID": "27"})["jetson"]["group_add"] == ["27"]


def test_without_options_it_starts_the_gateway_alone() -> None:
    services = compose()
    assert list(services) == ["gateway"]
    check_service(services["gateway"])


def test_monitoring_comes_beside_it() -> None:
    services = compose("--profile", "gateway", "--profile", "monitoring")
    assert sorted(services) == ["gateway", "grafana", "prometheus"]
    for name in ("grafana", "prometheus"):  # without a password, so not for the network
        assert [port["host_ip"] for port in services[name]["ports"]] == ["127.0.0.1"]


def test_https_comes_beside_it() -> None:
    services = compose("--profile", "gateway", "--profile", "tls")
    assert sorted(services) == ["caddy", "gateway"]
    check_service(services["caddy"])


def test_cameras_come_with_a_broker_that_the_network_does_not_reach() -> None:
    services = compose("--profile", "cameras")
    assert sorted(services) == ["cameras", "mosquitto"]
    for service in services.values():
        check_service(service)
    assert [port["host_ip"] for port in services["mosquitto"]["ports"]] == ["127.0.0.1"]


def test_the_shipped_cameras_are_valid_and_use_the_broker_beside_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable("config"), str(ROOT / "deploy" / "cameras.toml"))
    tables = load_settings().tables
    assert list(read_cameras(tables)) == ["gate"]
    broker = read_table("mqtt", MqttSettings, tables["mqtt"]).broker()
    assert (broker.host, broker.port) == ("mosquitto", 1883)
    assert "listener 1883\n" in (ROOT / "deploy" / "mosquitto.conf").read_text("utf-8")


def test_replicas_have_one_address() -> None:
    services = compose("--profile", "replicas")
    assert sorted(services) == ["balancer", "replica"]
    assert not services["replica"].get("ports")
    check_service(services["balancer"])


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_a_board_has_one_service_whose_settings_are_taken(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [service] = compose("--env-file", str(path)).values()
    check_service(service)
    given = {n: text for n, text in service["environment"].items() if n.startswith("GATEWAY_")}
    for name, text in given.items():
        monkeypatch.setenv(name, text)
    assert {variable(name) for name in load_settings().model_fields_set} == given.keys()


def test_hadolint_finds_nothing() -> None:
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which(
        "hadolint"
    )
    if not program:
        pytest.skip("needs hadolint, of the development requirements")
    run = subprocess.run(
        [program, ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout) == (0, "")


@pytest.mark.parametrize("path", sorted(ROOT.glob("requirements/*.txt")), ids=lambda p: p.stem)
def test_requirements_are_pinned_hashed_and_name_no_place(path: Path) -> None:
    text = path.read_text("utf-8")
    pinned = re.findall(r"^[a-zA-Z0-9._-]+==\S+.*\\\n    --hash=sha256:", text, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^[a-zA-Z]", text, re.MULTILINE)) > 0
    assert "://" not in text
    assert "index" not in text


UNITS = {"m": "MB", "g": "GB"}
# All but these of a board's variables decide how much memory it needs.
NO_MEMORY = {"COMPOSE_PROFILES", "MEMORY", "QUEUE_LIMIT"}


def test_the_figures_of_a_board_are_those_that_its_page_promises() -> None:
    page = (ROOT / "deploy" / "raspberry-pi.md").read_text("utf-8")
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", page, re.MULTILINE)
    promised = {name: figures for name, *figures in rows}
    boards = [
        compose_file.read_variables(ROOT / "deploy" / f"raspberry-pi-{board}.env")
        for board in ("1gb", "4gb")
    ]
    for column, given in enumerate(boards):
        found = {name: figures[column] for name, figures in promised.items()}
        memory = f"{given['MEMORY'][:-1]} {UNITS[given['MEMORY'][-1]]}"
        assert found["limit of the container"] == memory
        assert found["workers"].split(",")[0] == given["WORKERS"]
        million, mb = int(given["MAX_PIXELS"]) / 1e6, int(given["MAX_BODY_BYTES"]) / 2**20
        assert found["largest image, baseline JPEG"] == f"{million:g} million pixels, {mb:g} MB"
        every = int(given["HELPER_MEMORY_BYTES"]) // 17 // 10**6  # bytes per pixel of any format
        assert found["largest image of every format"] == f"{every} million pixels"
        assert found["bodies in flight"] == f"{int(given['MAX_INFLIGHT_BYTES']) / 2**20:g} MB"
    without_docker = dict(re.findall(r"^    GATEWAY_(\w+)=(\d+)$", page, re.MULTILINE))
    assert without_docker == {n: text for n, text in boards[0].items() if n not in NO_MEMORY}

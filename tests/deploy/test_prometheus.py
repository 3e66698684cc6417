"""Debian's Prometheus scrapes the service under load and evaluates panels and alerts."""

import json
import math
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from loadtest.cameras.scenes import plain
from tests.app.cameras.watched import put
from tests.conftest import SMALL_V1, SMALL_V2
from tests.deploy.test_monitoring import FOLDER, expressions
from tests.processes import LIVELINESS_S, Service, running, until
from tests.robustness.traffic import classify, load

yaml = pytest.importorskip("yaml", reason="needs PyYAML, of the development requirements")
RATE_INTERVAL = "10s"  # what Grafana substitutes for $__rate_interval
FAST = {"scrape_interval": "250ms", "scrape_timeout": "250ms", "evaluation_interval": "500ms"}


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}: apt-get install prometheus")
    return found


def promtool(*arguments: str) -> str:
    done = subprocess.run(
        [program("promtool"), *arguments],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=LIVELINESS_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    for name in ("prometheus.yml", "alerts.yml"):
        shutil.copy(FOLDER / name, tmp_path)
    (tmp_path / "key").touch()  # as compose mounts it
    checked = promtool("check", "config", str(tmp_path / "prometheus.yml"))
    assert "valid prometheus config file" in checked


def test_each_alert_comes_when_it_should_and_only_then() -> None:
    promtool("test", "rules", "alerts_test.yml")
    tried = (FOLDER / "alerts_test.yml").read_text("utf-8")
    rules = (FOLDER / "alerts.yml").read_text("utf-8")
    names = [line.split()[-1] for line in rules.splitlines() if "- alert:" in line]
    assert names
    for name in names:
        assert f"alertname: {name}\n        exp_alerts:" in tried, f"never seen to come: {name}"


def test_the_metrics_keep_to_the_conventions(store: Path) -> None:
    with running(store, default_model=SMALL_V1, measure_s=0) as service, service.client() as client:
        text = client.get("/metrics").text
    done = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        timeout=LIVELINESS_S,
        check=False,
    )
    complaints = [line for line in done.stderr.splitlines() if line.startswith("gateway_")]
    assert complaints == []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def prometheus(service: Service, folder: Path, key: str = "") -> Iterator[httpx.Client]:
    """A Prometheus with the project's configuration and alerts and a short interval."""
    shipped = yaml.safe_load((FOLDER / "prometheus.yml").read_text("utf-8"))
    shipped["global"] = FAST
    [job] = shipped["scrape_configs"]
    del job["dns_sd_configs"]
    job["static_configs"] = [{"targets": [f"127.0.0.1:{service.port}"]}]
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump(shipped))
    shutil.copy(FOLDER / "alerts.yml", folder)
    (folder / "key").write_text(key)
    address = f"127.0.0.1:{free_port()}"
    command = [
        program("prometheus"), f"--config.file={config}", f"--web.listen-address={address}",
        f"--storage.tsdb.path={folder / 'data'}",
    ]  # fmt: skip
    log = folder / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        with httpx.Client(base_url=f"http://{address}", timeout=LIVELINESS_S) as client:

            def ready() -> bool:
                assert process.poll() is None, log.read_text("utf-8")
                try:
                    return client.get("/-/ready").status_code == 200
                except httpx.TransportError:
                    return False

            until(ready, "Prometheus is ready")
            yield client
    finally:
        process.terminate()
        process.wait(LIVELINESS_S)


def query(client: httpx.Client, expression: str) -> list[Any]:
    answer = client.get("/api/v1/query", params={"query": expression}).json()
    assert answer["status"] == "success", (expression, answer)
    return list(answer["data"]["result"])


def has_figures(result: list[Any]) -> bool:
    return any(math.isfinite(float(sample["value"][1])) for sample in result)


@pytest.mark.unmeasured
@pytest.mark.parametrize(("keys", "key"), [("", ""), ("one,two", "two\n")])
def test_it_is_scraped_with_keys_and_without(
    keys: str, key: str, store: Path, tmp_path: Path
) -> None:
    with (
        running(store, default_model=SMALL_V1, measure_s=0, api_keys=keys) as service,
        prometheus(service, tmp_path, key) as client,
    ):
        until(lambda: has_figures(query(client, "gateway_model_info")), "it is scraped")


@pytest.mark.unmeasured
def test_every_picture_and_alert_is_evaluated_on_a_service_under_load(
    store: Path, tmp_path: Path
) -> None:
    camera, config = tmp_path / "camera", tmp_path / "gateway.toml"
    camera.mkdir()
    config.write_text(  # a broker that is not there has figures, too
        f'[cameras.gate]\nsource = "{camera}"\n[mqtt]\nurl = "mqtt://127.0.0.1:{free_port()}"\n'
    )
    settings = {
        "default_model": SMALL_V1, "measure_s": 0, "auto_resolutions": 96, "config": config
    }  # fmt: skip
    rules = [name for name in expressions() if name.startswith("Gateway")]
    with (
        running(store, **settings) as service,
        prometheus(service, tmp_path) as client,
        load(service, (SMALL_V1, SMALL_V2, "auto"), clients=2),
    ):
        panels = {
            title: text.replace("$instance", ".*").replace("$__rate_interval", RATE_INTERVAL)
            for title, text in expressions().items()
            if title not in rules
        }
        assert len(panels) >= 16
        assert not any("$" in text for text in panels.values())
        empty = dict(panels)

        def all_have_figures() -> bool:
            classify(service, b"not an image")  # failures have a panel too
            put(camera, "frame.jpg", plain(100))
            for title, text in list(empty.items()):
                if has_figures(query(client, text)):
                    del empty[title]
            return not empty

        give_up_at = time.monotonic() + LIVELINESS_S
        while not all_have_figures():
            assert time.monotonic() < give_up_at, f"no data: {json.dumps(empty, indent=1)}"
            time.sleep(0.25)

        def evaluated() -> dict[str, dict[str, Any]]:
            groups = client.get("/api/v1/rules").json()["data"]["groups"]
            return {rule["name"]: rule for group in groups for rule in group["rules"]}

        until(
            lambda: all(rule["health"] != "unknown" for rule in evaluated().values()),
            "all alerts are evaluated",
        )
        found = evaluated()
        assert found.keys() == set(rules)
        for name, rule in found.items():
            assert rule["health"] == "ok", (name, rule)
        firing = {name for name, rule in found.items() if rule["state"] == "firing"}
        assert not firing & {"GatewayDown", "GatewayHasNoModel", "GatewayMakesMistakes"}

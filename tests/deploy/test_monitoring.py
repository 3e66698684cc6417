"""Dashboard and alerts use existing metrics and labels."""

import json
import re
from typing import Any

import pytest

from app.telemetry.metrics import Metrics
from tests.conftest import ROOT

FOLDER = ROOT / "deploy" / "monitoring"
METRIC = re.compile(r"\b(gateway_[a-z_]+|process_[a-z_]+)\b")


def expressions() -> dict[str, str]:
    """Every expression by panel or alert."""
    dashboard = json.loads((FOLDER / "grafana/dashboards/gateway.json").read_text("utf-8"))
    found = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in dashboard["panels"]
        for target in panel["targets"]
    }
    yaml = pytest.importorskip("yaml", reason="needs PyYAML, of the development requirements")
    alerts: dict[str, Any] = yaml.safe_load((FOLDER / "alerts.yml").read_text("utf-8"))
    rules = [rule for group in alerts["groups"] for rule in group["rules"]]
    return found | {rule["alert"]: rule["expr"] for rule in rules}


def samples() -> set[str]:
    """Every sample name of a scrape."""
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
    return {
        family.name + suffix
        for family in Metrics().families()
        for suffix in suffixes.get(family.type, ("",))
    }


def test_every_metric_of_dashboard_and_alerts_is_one_of_the_service() -> None:
    named = {name for text in expressions().values() for name in METRIC.findall(text)}
    assert len(named) > 8
    assert named <= samples()


def test_dashboard_and_alerts_count_the_requests_of_every_api() -> None:
    """Of `/predict` and of the Open Inference Protocol, over HTTP and gRPC."""
    routes = [
        found
        for text in expressions().values()
        for found in re.findall(r'route(=~?)"([^"]*)"', text)
    ]
    assert len(routes) == 5  # a panel, and two alerts that divide
    assert set(routes) == {("=~", "/predict|.+/infer|.+Infer")}


def test_every_alert_says_what_it_means() -> None:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML, of the development requirements")
    alerts = yaml.safe_load((FOLDER / "alerts.yml").read_text("utf-8"))
    for group in alerts["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"]["summary"]
            assert rule["labels"]["severity"] in {"warning", "critical"}


def test_every_alert_is_documented() -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    names = {name for name in expressions() if name.startswith("Gateway")}
    assert names
    assert names == set(re.findall(r"^\| `(Gateway\w+)` \|", page, re.MULTILINE))


# What an alert waits for, and how it is written in docs/operations.md.
ALERTS = {
    "GatewayDown": ("1m", "== 0 or", "no answer for a minute"),
    "GatewayHasNoModel": ("1m", "gateway_model_info == 1", "the target answers but has no model"),
    "GatewayMakesMistakes": (None, "[10m]", "in the last 10 minutes"),
    "GatewayRefusesWork": ("5m", "> 0.05", "for 5 minutes more than 5 % of requests got a 503"),
    "GatewayMissesDeadlines": ("5m", "> 0.01", "for 5 minutes more than 1 % of requests got a 504"),
    "GatewayIsSlow": (
        "5m",
        "histogram_quantile(0.95, sum by (instance, le) "
        "(rate(gateway_queue_seconds_bucket[5m]))) > 0.5",
        "for 5 minutes one image in twenty waited for more than half a second",
    ),
    "GatewayInBrownOut": ("10m", "> 0", "for 10 minutes `auto` answered with cheaper models"),
    "GatewayCameraIsSilent": ("5m", "gateway_camera_connected == 0", "for 5 minutes"),
    "GatewayHasNoBroker": ("5m", "gateway_mqtt_connected == 0", "for 5 minutes"),
}


def test_every_alert_comes_at_the_number_that_is_documented() -> None:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML, of the development requirements")
    alerts = yaml.safe_load((FOLDER / "alerts.yml").read_text("utf-8"))
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    rules = {rule["alert"]: rule for group in alerts["groups"] for rule in group["rules"]}
    assert rules.keys() == ALERTS.keys()
    for name, (lasting, condition, documented) in ALERTS.items():
        assert rules[name].get("for") == lasting, name
        assert condition in rules[name]["expr"], name
        [line] = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        assert documented in line


def test_every_panel_has_the_unit_of_its_metrics() -> None:
    dashboard = json.loads((FOLDER / "grafana/dashboards/gateway.json").read_text("utf-8"))
    for panel in dashboard["panels"]:
        unit = panel["fieldConfig"]["defaults"].get("unit")
        named = {name for target in panel["targets"] for name in METRIC.findall(target["expr"])}
        for name in named:
            if re.search("_seconds(_bucket|_sum)?$", name):
                assert unit == "s", panel["title"]
            if name.endswith("_bytes"):
                assert unit == "bytes", panel["title"]

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

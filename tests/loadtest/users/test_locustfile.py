"""The Locust file passes a healthy service, and nothing else."""

import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from loadtest.users.locust_check import locust_command
from tests.client.scripted import Reply, overloaded, scripted
from tests.conftest import SMALL_V1
from tests.processes import LIVELINESS_S, Service, running

if find_spec("locust") is None:
    pytest.skip("needs locust, of the extra `load`", allow_module_level=True)

pytestmark = pytest.mark.unmeasured


@pytest.fixture(scope="module")
def service(store: Path) -> Iterator[Service]:
    with running(store, default_model=SMALL_V1, measure_s=0) as service:
        yield service


def judged(url: str, *options: str) -> tuple[int, str]:
    """Exit status and output of Locust after a few seconds with one user of each kind."""
    done = subprocess.run(
        locust_command(url, 3, 3, *options),
        capture_output=True,
        text=True,
        timeout=LIVELINESS_S,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_healthy_service_passes_whatever_its_speed(service: Service) -> None:
    before = service.metric("gateway_images_total", outcome="ok")
    status, said = judged(service.base_url, "--max-p95-ms", "30000")
    assert status == 0, said
    assert "\npassed" in f"\n{said}"
    assert service.metric("gateway_images_total", outcome="ok") - before > 4


def test_a_limit_that_nothing_meets_fails(service: Service) -> None:
    status, said = judged(service.base_url, "--max-p95-ms", "0.001")
    assert status == 1, said
    assert "not passed: camera: POST /predict: p95 is " in said


def test_a_service_that_rejects_everything_fails() -> None:
    with scripted([overloaded("0.1")]) as script:
        status, said = judged(script.url)
    assert status == 1, said
    assert "requests were rejected, the maximum is 5 %" in said
    assert "camera: POST /predict: no answer" in said


def test_an_answer_without_labels_fails() -> None:
    with scripted([Reply(200, {"results": []})]) as script:
        status, said = judged(script.url)
    assert status == 1, said
    assert "fewer results with labels" in said

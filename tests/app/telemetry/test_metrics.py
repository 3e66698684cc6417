"""What Prometheus gets to see."""

import re

import httpx

from app.telemetry.metrics import Metrics
from app.telemetry.request_counts import BUCKETS_S
from tests.app.sample_images import encode, noise
from tests.conftest import SMALL_V1, SMALL_V2
from tests.processes import metric_of


def scrape(client: httpx.Client) -> str:
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    return response.text


def test_requests_images_and_times_are_counted(client: httpx.Client) -> None:
    def figures() -> list[float]:
        text = scrape(client)
        return [
            metric_of(text, "gateway_requests_total", route="/predict", status="200"),
            metric_of(text, "gateway_requests_total", route="/predict", status="400"),
            metric_of(text, "gateway_images_total", model=SMALL_V2, outcome="ok"),
            metric_of(text, "gateway_images_total", model=SMALL_V2, outcome="not-an-image"),
            metric_of(text, "gateway_queue_seconds_count", model=SMALL_V2),
            metric_of(text, "gateway_decode_seconds_count", model=SMALL_V2),
            metric_of(text, "gateway_inference_seconds_count", model=SMALL_V2),
        ]

    before = figures()
    images = [("image", ("a.jpg", data)) for data in (encode(noise()), b"none", encode(noise()))]
    client.post("/predict", params={"model": SMALL_V2}, files=images)
    client.post("/predict", params={"model": SMALL_V2}, content=b"none")
    grown = [after - start for start, after in zip(before, figures(), strict=True)]
    assert grown == [1, 1, 2, 2, 2, 2, 2]


def test_paths_that_do_not_exist_make_no_new_series(client: httpx.Client) -> None:
    def ask_for_nothing(number: int) -> None:
        client.get(f"/nothing/{number}")
        client.get(f"/models/unknown-{number}")
        client.post(f"/predict?model=unknown-{number}", content=b"none")

    ask_for_nothing(0)
    scrape(client)  # its own series is in the next answer
    before = _series(scrape(client))
    for number in range(1, 51):
        ask_for_nothing(number)
    after = _series(scrape(client))
    assert after == before
    assert not [series for series in after if re.search(r"nothing/|unknown-", series)]


def test_buckets_fit_from_a_fifth_of_a_millisecond_to_two_seconds(client: httpx.Client) -> None:
    client.post("/predict", content=encode(noise()))
    found = re.findall(
        rf'gateway_inference_seconds_bucket\{{le="([^"]+)",model="{SMALL_V1}"\}}', scrape(client)
    )
    assert [float(edge) for edge in found] == [*BUCKETS_S, float("inf")]
    assert (BUCKETS_S[0], BUCKETS_S[-1]) == (0.0002, 2.0)
    assert list(BUCKETS_S) == sorted(set(BUCKETS_S))


def test_gauges_rest_at_zero_and_tell_models_and_memory(client: httpx.Client) -> None:
    text = scrape(client)
    for name in ("gateway_queue_images", "gateway_permits_in_use", "gateway_inflight_body_bytes"):
        assert metric_of(text, name) == 0
    assert metric_of(text, "gateway_model_info") == 2
    for model in client.get("/models").json()["models"]:
        assert metric_of(text, "gateway_model_madds", model=model["name"]) == model["madds"]
    assert metric_of(text, "process_resident_memory_bytes") > 10_000_000


def test_every_metric_has_a_help_text_with_a_full_stop() -> None:
    for family in Metrics().families():
        if family.name.startswith("gateway_"):
            assert family.documentation.endswith("."), family.name


def _series(text: str) -> set[str]:
    return {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}

"""model=auto over HTTP: what a client sees of the choice."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.errors import BadQuery, ImpossibleBudget
from app.settings import Settings
from tests.app.auto.chosen import MIN_SAMPLES, V1, V2
from tests.app.problems import assert_problem
from tests.app.sample_images import encode, noise
from tests.processes import metric_of
from tests.serving import served

PHOTO = encode(noise())


@pytest.fixture(scope="module")
def auto_client(folder: Path) -> Iterator[httpx.Client]:
    settings = Settings(store=folder, default_model="auto", admin_key="admin", cache=False)
    with served(settings) as opened:
        yield opened


def ask(client: httpx.Client, content: bytes = PHOTO, **params: Any) -> httpx.Response:
    return client.post("/predict", params=params, content=content)


def test_the_answer_names_the_choice_and_the_reason(auto_client: httpx.Client) -> None:
    answer = ask(auto_client, max_madds=12_000_000).json()
    assert (answer["model"], answer["resolution"]) == (V2, 96)
    assert answer["choice"]["reason"].startswith("the most accurate of")
    assert answer["choice"]["top1_basis"] == "interpolated"
    assert answer["choice"]["brownout_step"] == 0
    assert answer["choice"]["expected_ms"] > 0
    text = auto_client.get("/metrics").text
    assert metric_of(text, "gateway_auto_images_total", model=V2, resolution="96") >= 1


def test_what_requests_took_is_learned_in_the_unit_of_what_was_expected(
    auto_client: httpx.Client,
) -> None:
    """Times in seconds would make any limit seem easy."""
    for _ in range(MIN_SAMPLES + 8):
        assert ask(auto_client, model="auto", resolution=96).status_code == 200
    assert_problem(ask(auto_client, resolution=96, max_latency_ms=0.2), ImpossibleBudget)


def test_a_named_model_has_no_choice_in_its_answer(auto_client: httpx.Client) -> None:
    answer = ask(auto_client, model=V1).json()
    assert answer["model"] == V1
    assert "choice" not in answer


@pytest.mark.parametrize("query", [{"max_madds": 5}, {"max_latency_ms": 1e-3}, {"resolution": 64}])
def test_an_impossible_budget_is_a_422(auto_client: httpx.Client, query: dict[str, Any]) -> None:
    assert_problem(ask(auto_client, **query), ImpossibleBudget)


@pytest.mark.parametrize(
    "query", [{"max_madds": 0}, {"min_top1": 101}, {"max_latency_ms": "nan"}, {"max_latency": 5}]
)
def test_an_invalid_limit_is_a_bad_query(auto_client: httpx.Client, query: dict[str, Any]) -> None:
    assert_problem(ask(auto_client, **query), BadQuery)


def test_a_bad_image_for_auto_is_the_same_error_as_ever(auto_client: httpx.Client) -> None:
    assert ask(auto_client, b"text").status_code == 400
    files = [("image", PHOTO), ("image", b"text"), ("image", PHOTO)]
    results = auto_client.post("/predict", files=files).json()["results"]
    assert ["error" in result for result in results] == [False, True, False]


def test_the_default_model_is_shown_as_auto(auto_client: httpx.Client) -> None:
    assert auto_client.get("/info").json()["default_model"] == "auto"
    assert not any(model["default"] for model in auto_client.get("/models").json()["models"])

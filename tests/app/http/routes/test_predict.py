"""POST /predict: the answer, and what its query and headers can ask for."""

from pathlib import Path

import httpx
import pytest

from app.errors import BadQuery, MethodNotAllowed, UnknownModel
from app.settings import Settings
from tests.app.http.routes.predicting import JPEG, PHOTO, answered, classes, predict
from tests.app.problems import assert_problem
from tests.conftest import REAL_MODEL, SMALL_V1, SMALL_V2
from tests.serving import served


def test_the_answer_has_exactly_the_promised_keys(client: httpx.Client) -> None:
    answer = predict(client, PHOTO).json()
    assert answer.keys() == {"model", "resolution", "results"}
    assert (answer["model"], answer["resolution"]) == (SMALL_V1, 128)
    [result] = answer["results"]
    assert result.keys() == {"predictions", "queue_ms", "decode_ms", "inference_ms"}
    assert len(result["predictions"]) == 5
    for prediction in result["predictions"]:
        assert prediction.keys() == {"class_id", "label", "probability"}
    assert result["queue_ms"] >= 0
    assert result["decode_ms"] > 0
    assert result["inference_ms"] > 0


@pytest.mark.parametrize("top_k", [1, 7, 100])
def test_top_k_classes_are_ranked_by_probability(client: httpx.Client, top_k: int) -> None:
    [result] = answered(predict(client, PHOTO, top_k=top_k))
    probabilities = [prediction["probability"] for prediction in result["predictions"]]
    assert len(set(classes(result))) == top_k
    assert probabilities == sorted(probabilities, reverse=True)
    assert 0 < sum(probabilities) <= 1 + 1e-6


def test_a_model_answers_by_its_name_and_at_its_own_resolution(client: httpx.Client) -> None:
    answer = predict(client, PHOTO, model=SMALL_V2).json()
    assert (answer["model"], answer["resolution"]) == (SMALL_V2, 96)


def test_the_first_model_answers_when_the_default_one_is_not_loaded(store: Path) -> None:
    with served(Settings(store=store)) as client:
        assert predict(client, PHOTO).json()["model"] == SMALL_V1


def test_the_real_model_is_the_default_one(real_client: httpx.Client) -> None:
    assert predict(real_client, PHOTO).json()["model"] == REAL_MODEL


@pytest.mark.parametrize(
    ("query", "said"),
    [
        pytest.param("top_k=0", "top_k: ", id="top_k-0"),
        pytest.param("top_k=101", "top_k: ", id="top_k-101"),
        pytest.param("top_k=many", "top_k: ", id="top_k-text"),
        pytest.param("top_k=", "top_k: ", id="top_k-empty"),
        pytest.param("resolution=100", "96 to 512 in steps of 32, not 100", id="resolution-100"),
        pytest.param("resolution=64", "96 to 512 in steps of 32", id="resolution-64"),
        pytest.param("resolution=-224", "96 to 512", id="resolution-negative"),
        pytest.param(f"resolution={'9' * 40}", "96 to 512", id="resolution-giant"),
        pytest.param("resolution=1e2", "resolution: ", id="resolution-float"),
        pytest.param("model=", "model: ", id="model-empty"),
        pytest.param("topk=3", "topk: unknown parameter", id="unknown"),
        pytest.param("top_k=3&top_k=4", "top_k: given more than once", id="repeated"),
        pytest.param("top_k=0&size=1", "size: unknown parameter", id="two-faults"),
    ],
)
def test_a_bad_query_is_refused_by_the_name_of_its_parameter(
    client: httpx.Client, query: str, said: str
) -> None:
    response = client.post(f"/predict?{query}", content=PHOTO, headers=JPEG)
    assert said in assert_problem(response, BadQuery)
    answered(predict(client, PHOTO))


@pytest.mark.parametrize("name", ["mobilenet_v3", "../../etc/passwd", "a\r\nb", "x" * 2000])
def test_an_unknown_model_is_refused_with_the_names_of_those_there_are(
    client: httpx.Client, name: str
) -> None:
    detail = assert_problem(predict(client, PHOTO, model=name), UnknownModel)
    assert f"{SMALL_V1}, {SMALL_V2}" in detail
    assert "Did you mean" not in detail


def test_for_a_mistyped_model_the_nearest_is_suggested(client: httpx.Client) -> None:
    name = SMALL_V1.replace("mobilenet", "mobilnet")
    detail = assert_problem(predict(client, PHOTO, model=name), UnknownModel)
    assert detail.startswith(f"Unknown model '{name}'. Did you mean {SMALL_V1}? Loaded models: ")


@pytest.mark.parametrize("deadline", ["0", "-5", "soon", "nan", "inf"])
def test_a_bad_deadline_is_refused(client: httpx.Client, deadline: str) -> None:
    response = predict(client, PHOTO, {**JPEG, "X-Deadline-Ms": deadline})
    assert "X-Deadline-Ms" in assert_problem(response, BadQuery)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_another_method_is_refused_with_the_one_that_is_taken(
    client: httpx.Client, method: str
) -> None:
    response = client.request(method, "/predict")
    detail = assert_problem(response, MethodNotAllowed)
    assert detail == f"/predict does not support {method}. Use POST."
    assert response.headers["allow"] == "POST"

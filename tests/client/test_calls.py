"""Calls of both clients against the real service: options, answers and errors."""

import inspect
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from mobilenet_gateway_client import (
    AsyncClient,
    BadQuery,
    Client,
    ImageProblem,
    NotAGateway,
    UnknownModel,
    UnreadableImage,
)

from app import errors as server_errors
from tests.app.sample_images import encode, noise
from tests.client.clients import Do, both
from tests.client.scripted import GOOD, scripted
from tests.conftest import SMALL_V1, SMALL_V2


@both
def test_a_list_keeps_its_order_and_an_error_its_place(do: Do, url: str, tmp_path: Path) -> None:
    images: list[Any] = [encode(noise(seed=seed)) for seed in range(21)]
    images[4], images[11] = b"no image", tmp_path / "missing.jpg"
    found = do(url, "classify", images, model=SMALL_V2, resolution=128, top_k=1)
    assert [index for index, one in enumerate(found) if one.error] == [4, 11]
    assert isinstance(found[4].error, ImageProblem)
    assert found[4].error.type == "not-an-image"
    assert isinstance(found[11].error, UnreadableImage)
    alone = do(url, "classify", images[20], model=SMALL_V2, resolution=128, top_k=1)
    assert found[20].label == alone.label
    assert (alone.model, alone.resolution) == (SMALL_V2, 128)


@both
def test_embeddings_are_those_of_the_http_answer(
    do: Do, url: str, client: httpx.Client, tmp_path: Path
) -> None:
    images = [encode(noise(seed=seed)) for seed in range(2)]
    sent = [
        client.post(f"/predict?model={SMALL_V2}&embedding=true", content=image).json()
        for image in images
    ]
    expected = [np.float32(answer["results"][0]["embedding"]) for answer in sent]
    one = do(url, "embed", images[0], model=SMALL_V2)
    assert (one.typecode, len(one)) == ("f", 1280)
    several = do(url, "embed", images, model=SMALL_V2)
    assert np.asarray([one, *several]) == pytest.approx(
        np.stack([expected[0], *expected]), abs=1e-5
    )
    at_another_side = do(url, "embed", images[0], model=SMALL_V2, resolution=128)
    assert np.abs(np.asarray(at_another_side) - expected[0]).max() > 1e-3
    for bad, kind in ((b"no image", ImageProblem), (tmp_path / "missing.jpg", UnreadableImage)):
        with pytest.raises(kind):
            do(url, "embed", bad)
        with pytest.raises(kind):
            do(url, "embed", [images[0], bad])


@both
def test_a_gateway_that_leaves_the_embedding_out_is_noticed(do: Do) -> None:
    with scripted([GOOD]) as script, pytest.raises(NotAGateway, match="without the embedding"):
        do(script.url, "embed", b"x")


@both
def test_a_classification_has_its_embedding_on_demand(do: Do, url: str) -> None:
    image = encode(noise())
    with_it, without = (do(url, "classify", image, embedding=asked) for asked in (True, False))
    assert (len(with_it.embedding), without.embedding) == (256, None)  # SMALL_V1 at a quarter
    assert with_it.predictions == without.predictions


@both
def test_each_error_has_its_class(do: Do, url: str) -> None:
    image = encode(noise())
    with pytest.raises(UnknownModel, match=SMALL_V1):
        do(url, "classify", image, model="nope")
    with pytest.raises(UnknownModel):
        do(url, "classify", [image, image], model="nope")
    with pytest.raises(UnknownModel):
        do(url, "layers", "no?pe")
    with pytest.raises(BadQuery, match="resolution"):
        do(url, "classify", image, resolution=100)
    with pytest.raises(BadQuery, match="max_params"):
        do(url, "classify", image, model="auto", budget={"max_params": 1})
    with pytest.raises(ImageProblem, match="image format") as caught:
        do(url, "classify", b"no image")
    assert caught.value.status == 400
    with pytest.raises(UnreadableImage, match="float64"):
        do(url, "classify", np.zeros((2, 2)))
    assert do(url, "classify", []) == []


def test_every_image_error_of_the_service_is_an_image_problem() -> None:
    def below(kind: type[server_errors.RequestError]) -> list[type[server_errors.RequestError]]:
        return [k for sub in kind.__subclasses__() for k in (sub, *below(sub))]

    from mobilenet_gateway_client._errors import to_problem

    for kind in below(server_errors.ImageError):
        found = to_problem({"type": kind.type, "title": "", "status": 400, "detail": ""})
        assert isinstance(found, ImageProblem), kind


@both
def test_models_and_layers_are_what_the_service_says(
    do: Do, url: str, client: httpx.Client
) -> None:
    models = do(url, "models")
    sent = client.get("/models").json()["models"]
    assert [(one.name, one.madds, one.params, one.state) for one in models] == [
        (row["name"], row["madds"], row["params"], "loaded") for row in sent
    ]
    table = do(url, "layers", SMALL_V1, resolution=224)
    assert table.resolution == 224
    assert sum(layer.madds for layer in table.layers) == table.madds
    info = do(url, "info")
    assert (info.default_model, info.default_reason) == (
        SMALL_V1,
        client.get("/info").json()["default_reason"],
    )


@both
def test_options_arrive_in_the_units_of_the_api(do: Do) -> None:
    budget = {"max_latency_ms": 12.5, "min_top1": 60}
    with scripted([GOOD]) as script:
        do(script.url, "classify", b"x", model="auto", top_k=3, deadline_ms=1500, budget=budget)
    [path], [headers] = script.paths, script.headers
    assert headers["X-Deadline-Ms"] == "1500"
    assert headers["Content-Type"] == "application/octet-stream"
    assert httpx.URL(path).params == httpx.QueryParams(
        {"model": "auto", "top_k": "3", "max_latency_ms": "12.5", "min_top1": "60"}
    )


def test_both_clients_have_the_same_methods_and_arguments() -> None:
    for name in ("__init__", "classify", "classify_each", "embed", "models", "layers", "info"):
        ours, theirs = (inspect.signature(getattr(k, name)) for k in (Client, AsyncClient))
        assert ours.parameters.keys() == theirs.parameters.keys()
        for parameter in ours.parameters:
            assert ours.parameters[parameter].default == theirs.parameters[parameter].default

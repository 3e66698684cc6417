"""POST /predict?explain=cam: where an image speaks for a class."""

import base64
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper
from PIL import Image, ImageOps

from app.errors import BadQuery
from app.settings import Settings
from app.system.cpu import saturates_here
from tests.app.heads.made import write_head
from tests.app.http.routes.predicting import answered, predict
from tests.app.problems import assert_problem
from tests.app.sample_images import chelsea, encode, noise
from tests.conftest import REAL_MODEL, SMALL_V1, SMALL_V2
from tests.serving import served

SIDE, CROP = 256, 224  # the shorter side is resized to 256 for a crop of 224
DEEPER = "mobilenet_v2_0.35_96_deeper"


def deepened(model: Path, to: Path) -> None:
    """A copy whose logits pass one more layer."""
    graph = onnx.load(model)
    for node in graph.graph.node:
        for at, name in enumerate(node.output):
            if name == "logits":
                node.output[at] = "hidden"
    relu = helper.make_node("Relu", ["hidden"], ["logits"])
    at = next(at for at, node in enumerate(graph.graph.node) if "logits" in node.input)
    graph.graph.node.insert(at, relu)
    for entry in graph.metadata_props:
        entry.value = entry.value.replace(f'"name":"{model.stem}"', f'"name":"{to.stem}"')
    onnx.save(graph, to)


@pytest.fixture(scope="module")
def folder(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = shutil.copytree(store, tmp_path_factory.mktemp("explained") / "store")
    write_head(folder / f"{SMALL_V2}.onnx", "gate")
    write_head(folder / f"{SMALL_V2}.onnx", "porch", seed=1)
    deepened(folder / f"{SMALL_V2}.onnx", folder / f"{DEEPER}.onnx")
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    with served(Settings(store=folder, default_model=SMALL_V1, measure_s=0)) as client:
        yield client


def explained(client: httpx.Client, image: bytes, **query: Any) -> dict[str, Any]:
    [result] = answered(predict(client, image, explain="cam", **query))
    found: dict[str, Any] = result["explanation"]
    return found


@pytest.mark.parametrize("model", [SMALL_V1, SMALL_V2])
@pytest.mark.parametrize("class_id", [None, 7])
def test_the_mean_of_the_map_and_the_bias_are_the_logit(
    client: httpx.Client, folder: Path, model: str, class_id: int | None
) -> None:
    pixels = np.asarray(noise(SIDE, SIDE))
    session = onnxruntime.InferenceSession(folder / f"{model}.onnx")
    crop = np.ascontiguousarray(pixels[16:-16, 16:-16])
    logits, probabilities = session.run(["logits", "probabilities"], {"image": crop[np.newaxis]})
    background = logits.shape[1] - 1000
    query = {} if class_id is None else {"class_id": class_id}
    image = encode(Image.fromarray(pixels), "PNG")
    found = explained(client, image, model=model, resolution=CROP, **query)
    expected = int(probabilities.argmax()) if class_id is None else class_id
    assert found["class_id"] == expected
    assert np.shape(found["grid"]) == (7, 7)
    logit = float(logits[0, expected + background])
    assert np.mean(found["grid"]) + found["bias"] == pytest.approx(logit, abs=1e-4)


def test_the_classes_are_those_of_a_plain_answer(client: httpx.Client) -> None:
    image = encode(noise())
    [plain] = answered(predict(client, image))
    [result] = answered(predict(client, image, explain="cam"))
    assert result.keys() - plain.keys() == {"explanation"}
    assert [each["class_id"] for each in result["predictions"]] == [
        each["class_id"] for each in plain["predictions"]
    ]


def test_a_head_is_explained_by_its_own_weights(client: httpx.Client, folder: Path) -> None:
    pixels = np.asarray(noise(SIDE, SIDE))
    session = onnxruntime.InferenceSession(folder / f"{SMALL_V2}.onnx")
    crop = np.ascontiguousarray(pixels[16:-16, 16:-16])
    [[embedding]] = session.run(["embedding"], {"image": crop[np.newaxis]})
    weights = np.random.default_rng(0)
    weights.normal(size=(5, 1280))  # what `write_head` draws before
    row = weights.normal(size=(2, 1280)).astype(np.float32)[1]
    image = encode(Image.fromarray(pixels), "PNG")
    found = explained(client, image, model="gate", resolution=CROP, class_id=1)
    assert (found["label"], found["bias"]) == ("open", -0.5)
    expected = float(row @ embedding / np.linalg.norm(embedding))
    assert np.mean(found["grid"]) == pytest.approx(expected, abs=1e-4)
    unknown = explained(client, image, model="gate", class_id=2)
    assert "grid" not in unknown
    assert "resembles no taught photo" in unknown["unavailable"]


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_region_is_that_of_the_displayed_photo(client: httpx.Client, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = encode(noise(640, 320), exif=exif.tobytes())
    displayed = ImageOps.exif_transpose(Image.open(io.BytesIO(image)))
    found = explained(client, image, model=SMALL_V2, resolution=CROP)
    # 7/8 of the shorter side, 280 pixels, in the middle
    width, height = displayed.size
    expected = [width / 2 - 140, height / 2 - 140, width / 2 + 140, height / 2 + 140]
    edges = [found["region"][key] for key in ("left", "top", "right", "bottom")]
    assert edges == pytest.approx(expected, abs=1)


def test_what_only_the_helper_process_opens_has_no_region(client: httpx.Client) -> None:
    found = explained(client, encode(noise(), "BMP"))
    assert np.shape(found["grid"]) == (4, 4)
    assert "region" not in found
    assert "box" not in found


def test_an_overlay_is_a_png_of_what_the_model_saw(client: httpx.Client) -> None:
    found = explained(client, encode(chelsea()), model=SMALL_V2, overlay="true")
    kind, _, content = found["overlay"].partition(",")
    assert kind == "data:image/png;base64"
    picture = Image.open(io.BytesIO(base64.b64decode(content)))
    assert (picture.format, picture.size, picture.mode) == ("PNG", (96, 96), "RGB")
    assert "overlay" not in explained(client, encode(chelsea()), model=SMALL_V2)


def test_a_deeper_classifier_says_that_it_has_no_map(client: httpx.Client) -> None:
    found = explained(client, encode(noise()), model=DEEPER)
    assert found["unavailable"] == (
        f"{DEEPER} does not end in pooled features and a linear classifier."
    )
    assert found.keys() == {"class_id", "label", "method", "unavailable"}


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"explain": "lime"}, "explain: "),
        ({"explain": "cam", "class_id": 1000}, f"class_id: {SMALL_V1} has the classes 0 to 999."),
        ({"explain": "cam", "class_id": -1}, "class_id: "),
        ({"class_id": 3}, "class_id, overlay: only with explain=cam."),
        ({"overlay": "true"}, "class_id, overlay: only with explain=cam."),
        ({"explain": "cam", "embedding": "true"}, "explain: for one model or head, and "),
        ({"explain": "cam", "model": "gate,porch"}, "explain: for one model or head, and "),
    ],
)
def test_what_does_not_go_together_is_rejected(
    client: httpx.Client, query: dict[str, Any], detail: str
) -> None:
    assert assert_problem(predict(client, encode(noise()), **query), BadQuery).startswith(detail)


@pytest.mark.parametrize("form", ["", "_ptq"])
def test_a_real_model_points_at_the_object(real_store: Path, form: str) -> None:
    """At least 80 % of the positive evidence is on the side of a cat on a grey wall."""
    model = real_store / f"{REAL_MODEL}{form}.onnx"
    if not model.is_file():
        pytest.skip(f"needs {model.name}: run `mobilenet-gateway models pull {model.stem}`")
    cat = ImageOps.fit(chelsea(), (224, 224))
    session = onnxruntime.InferenceSession(model)
    with served(Settings(store=real_store, models=(model.stem,), measure_s=0)) as client:
        for left in (True, False):
            wall = Image.new("RGB", (512, 512), (128, 128, 128))
            wall.paste(cat, (32 if left else 256, 144))
            image = encode(wall, "PNG")
            found = explained(client, image)
            positive = np.maximum(found["grid"], 0)
            sides = [positive[:, :3].sum(), positive[:, 4:].sum()]
            assert sides[0 if left else 1] >= 0.8 * sum(sides)
            # in the classifier's own arithmetic, as it takes what is pooled
            small = wall.resize((224, 224), Image.Resampling.BILINEAR, (32, 32, 480, 480))
            pixels = np.asarray(small)[np.newaxis]
            [[logits]] = session.run(["logits"], {"image": pixels})
            logit = float(logits[found["class_id"]])
            # kernels that saturate sum up other logits than the features and the weights give
            tolerance = 0.03 * float(np.ptp(logits)) if form and saturates_here() else 1e-4
            assert np.mean(found["grid"]) + found["bias"] == pytest.approx(logit, abs=tolerance)

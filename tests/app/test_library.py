"""The classifier without a server: what `/predict` answers, from files, pixels and streams."""

import io
import itertools
import json
import pickle
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from app.errors import DamagedImage, ModelFileError, NotAnImage, SettingError
from app.inference.local_session import UnreadableImage
from app.library import AHEAD, Classification, Classifier
from app.settings import Settings
from tests.app.heads.made import write_head
from tests.app.sample_images import cat, encode, noise, oriented_exif
from tests.conftest import ROOT, SMALL_V1, SMALL_V2
from tests.serving import served

FRESH = """
import json, pickle, sys
classifier = pickle.loads(sys.stdin.buffer.read())
found = [[(one.class_id, one.probability) for one in each.predictions]
         for each in classifier.classify(sys.argv[1:])]
web = {"fastapi", "uvicorn", "starlette"} & {name.partition(".")[0] for name in sys.modules}
print(json.dumps([found, sorted(web)]))
"""


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Path:
    """A folder as it is for heads that are taught over HTTP, with the head `gate`."""
    beside = tmp_path_factory.mktemp("beside")
    base = shutil.copy2(store / f"{SMALL_V2}.onnx", beside)
    folder = tmp_path_factory.mktemp("heads")
    write_head(Path(base))
    shutil.move(beside / "gate.head.npz", folder)
    return folder


@pytest.fixture(scope="module")
def service(store: Path, heads: Path) -> Iterator[httpx.Client]:
    with served(Settings(store=store, heads=heads)) as client:
        yield client


@pytest.fixture(scope="module")
def classifier(store: Path) -> Iterator[Classifier]:
    with Classifier(SMALL_V2, store=store, workers=2) as opened:
        yield opened


def answer(service: httpx.Client, data: bytes, model: str = SMALL_V2, **query: Any) -> Any:
    """What `/predict` answers for one image: its result, or its problem."""
    query = {"model": model, **query}
    sent = service.post("/predict", params=query, content=data).json()
    return sent["results"][0] if "results" in sent else sent


def scores(found: Classification) -> list[dict[str, Any]]:
    return [
        {"class_id": one.class_id, "label": one.label, "probability": one.probability}
        for one in found.predictions
    ]


IMAGES = {
    "jpeg": encode(cat()),
    "turned": encode(cat(), exif=oriented_exif(6)),
    "grey": encode(cat().convert("L")),
    "cmyk": encode(cat().convert("CMYK")),
    "progressive": encode(noise(), progressive=True),
    "png": encode(noise(), "PNG"),
    "webp": encode(cat(), "WEBP"),
    "gif": encode(cat(), "GIF"),  # from here on decoded by the helper process
    "tiff": encode(cat(), "TIFF"),
    "bmp": encode(noise(), "BMP"),
}
FAULTS = {
    "empty": b"",
    "text": b"no image at all",
    "cut": encode(cat(), "PNG")[:2000],
    "small": encode(noise(4, 4)),
}


@pytest.mark.parametrize("top_k", [1, 5, 12])
def test_files_have_the_probabilities_of_predict(
    service: httpx.Client, classifier: Classifier, top_k: int
) -> None:
    found = classifier.classify(list(IMAGES.values()), top_k=top_k)
    assert [one.error for one in found] == [None] * len(IMAGES)
    for one, data in zip(found, IMAGES.values(), strict=True):
        assert scores(one) == answer(service, data, top_k=top_k)["predictions"]
        assert len(one.predictions) == top_k
        assert (one.model, one.resolution) == (SMALL_V2, 96)
        assert one.inference_ms > 0


def test_bad_files_have_the_errors_of_predict(
    service: httpx.Client, classifier: Classifier
) -> None:
    for data in FAULTS.values():
        problem = answer(service, data)
        found = classifier.classify([data])[0]
        assert found.error is not None
        assert f"urn:mobilenet-gateway:{found.error.type}" == problem["type"]
        if data:  # what it says of an empty body is about the request
            assert found.error.detail == problem["detail"]
        assert found.predictions == ()


def test_a_damaged_file_has_the_warnings_of_predict(
    service: httpx.Client, classifier: Classifier
) -> None:
    cut = IMAGES["jpeg"][:-1500] + b"\xff\xd9"
    found = classifier.classify(cut)
    assert found.warnings
    assert list(found.warnings) == answer(service, cut)["warnings"]


def test_one_image_raises_its_error(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(NotAnImage):
        classifier.classify(FAULTS["text"])
    with pytest.raises(UnreadableImage, match=r"none\.jpg: No such file"):
        classifier.classify(tmp_path / "none.jpg")
    with pytest.raises(UnreadableImage, match="Is a directory"):
        classifier.classify(str(tmp_path))
    with pytest.raises(TypeError, match="Unsupported image: int"):
        classifier.classify(7)  # type: ignore[call-overload]  # that is tested


def test_a_list_keeps_its_order_around_errors(classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(IMAGES["jpeg"])
    (tmp_path / "photo.gif").write_bytes(IMAGES["gif"])
    images = [str(tmp_path / "cat.jpg"), tmp_path / "none", 7, FAULTS["text"], IMAGES["png"]]
    found = classifier.classify([*images, tmp_path / "photo.gif"] * 3)
    kinds = [one.error and one.error.type for one in found]
    assert kinds == [None, "unreadable-image", "unreadable-image", "not-an-image", None, None] * 3
    for index, name in ((0, "jpeg"), (4, "png"), (5, "gif")):
        assert scores(found[index]) == scores(classifier.classify(IMAGES[name]))
        assert scores(found[index]) == scores(found[index + 6])
    with pytest.raises(UnreadableImage):
        found[1].label  # noqa: B018  raises


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "P", "1"])
def test_pixels_have_the_answer_of_their_png(
    service: httpx.Client, classifier: Classifier, mode: str
) -> None:
    image = cat(200, 160).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image = image.convert(mode)
    expected = answer(service, encode(image, "PNG"))["predictions"]
    assert scores(classifier.classify(image)) == expected
    if mode in ("RGB", "L", "RGBA"):
        assert scores(classifier.classify(np.asarray(image))) == expected


def test_16_bit_and_turned_pixels_have_the_answer_of_their_file(
    service: httpx.Client, classifier: Classifier
) -> None:
    deep = Image.fromarray(np.arange(100 * 120, dtype=np.uint16).reshape(100, 120) * 5)
    assert deep.mode == "I;16"
    assert scores(classifier.classify(deep)) == answer(service, encode(deep, "PNG"))["predictions"]
    turned = encode(noise(), "PNG", exif=oriented_exif(6))
    opened = Image.open(io.BytesIO(turned))
    assert scores(classifier.classify(opened)) == answer(service, turned)["predictions"]
    # one object many times, whose pixels are read once
    several = classifier.classify([Image.open(io.BytesIO(turned))] * 9)
    assert [one.error for one in several] == [None] * 9


@pytest.mark.parametrize(
    ("pixels", "error"),
    [
        pytest.param(np.zeros((9, 9, 3), np.float32), "Unsupported array: float32", id="float"),
        pytest.param(np.zeros((2, 9, 9, 3), np.uint8), "[2, 9, 9, 3]", id="batch"),
        pytest.param(np.zeros((0, 9), np.uint8), "no pixels", id="none"),
        pytest.param(np.zeros((7, 90), np.uint8), "minimum side is 8", id="small"),
        pytest.param(Image.new("F", (9, 9)), "floating-point", id="mode"),
        pytest.param(np.zeros((100, 101), np.uint8), "maximum is 10000", id="large"),
    ],
)
def test_pixels_without_a_meaning_are_rejected(store: Path, pixels: Any, error: str) -> None:
    with Classifier(SMALL_V2, store=store, max_pixels=10_000) as small:
        [found] = small.classify([pixels])
        assert found.error is not None
        assert error in found.error.detail
        assert small.classify([np.zeros((100, 100), np.uint8)])[0].error is None


def test_a_truncated_image_that_is_opened_already_is_an_error(classifier: Classifier) -> None:
    opened = Image.open(io.BytesIO(encode(noise(), "PNG")[:9000]))
    [found] = classifier.classify([opened])
    assert isinstance(found.error, DamagedImage)


def test_a_stream_is_read_only_a_few_images_ahead(classifier: Classifier) -> None:
    read = itertools.count()
    answers = classifier.classify(IMAGES["jpeg"] for _ in read)  # without an end
    for _ in range(30):
        assert next(answers).error is None
    # the next number is the count of those before it
    assert 30 <= next(read) <= 30 + 2 * AHEAD + 1
    answers.close()  # type: ignore[attr-defined]  # a generator


def test_one_slow_image_does_not_let_a_stream_be_read_further(store: Path) -> None:
    """Behind a slow first image the other worker goes on, but only to the end of the window."""
    window = 2 * AHEAD
    read: list[int] = []
    far_ahead = threading.Event()

    def images() -> Iterator[bytes]:
        for number in range(10 * window):
            read.append(number)
            if number > 3 * window:
                far_ahead.set()
            yield bytes([number])

    def run(data: bytes, **_: object) -> int:
        if data[0] == 0:
            far_ahead.wait(1)
            return len(read)
        return 0

    with Classifier(SMALL_V1, store=store, workers=2) as classifier:
        read_when_slow, *_ = classifier.each(images(), run)
    assert read_when_slow == window


def test_an_error_of_the_stream_itself_ends_it(classifier: Classifier) -> None:
    def broken() -> Iterator[bytes]:
        yield IMAGES["jpeg"]
        raise KeyError("of the caller")

    with pytest.raises(KeyError, match="of the caller"):
        list(classifier.classify(broken()))


def test_embeddings_are_those_of_predict(service: httpx.Client, classifier: Classifier) -> None:
    sent = answer(service, IMAGES["jpeg"], embedding="true")["embedding"]
    found = classifier.embed(IMAGES["jpeg"])
    assert found.dtype == np.float32
    assert found.tolist() == np.array(sent, np.float32).tolist()
    several = classifier.embed([IMAGES["jpeg"], FAULTS["text"]])
    assert isinstance(several[0], np.ndarray)
    assert np.array_equal(several[0], found)
    assert isinstance(several[1], NotAnImage)
    [streamed] = classifier.embed(iter([IMAGES["jpeg"]]))
    assert isinstance(streamed, np.ndarray)
    assert np.array_equal(streamed, found)


def test_another_process_gets_the_same_answers_without_a_web_framework(
    classifier: Classifier, tmp_path: Path
) -> None:
    names = []
    for name in ("jpeg", "gif"):
        (tmp_path / name).write_bytes(IMAGES[name])
        names.append(str(tmp_path / name))
    packed = pickle.dumps(classifier)
    assert len(packed) < 2000  # names and settings, no model
    command = [sys.executable, "-c", FRESH, *names]
    done = subprocess.run(command, input=packed, capture_output=True, check=True, cwd=tmp_path)
    found, web = json.loads(done.stdout)
    assert web == []
    here = classifier.classify(names)
    assert found == [[[one.class_id, one.probability] for one in each.predictions] for each in here]


def test_what_is_pickled_has_the_settings_but_no_secret(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_API_KEYS", "not-for-others")
    monkeypatch.setenv("GATEWAY_MAX_PIXELS", "5000")
    packed = pickle.dumps(Classifier(SMALL_V2, store=store))
    monkeypatch.setenv("GATEWAY_MAX_PIXELS", "1000000")
    assert b"not-for-others" not in packed
    with pickle.loads(packed) as other:  # noqa: S301  our own
        assert "maximum is 5000" in str(other.classify([encode(noise())])[0].error)


def test_a_head_answers_as_it_does_in_the_service(
    service: httpx.Client, store: Path, heads: Path, tmp_path: Path
) -> None:
    expected = answer(service, IMAGES["jpeg"], "gate")["predictions"]
    with Classifier("gate", store=store, heads=heads) as beside:
        assert scores(beside.classify(IMAGES["jpeg"])) == expected
        assert beside.card.name == "gate"
    shutil.copy2(store / f"{SMALL_V2}.onnx", tmp_path)
    shutil.copy2(heads / "gate.head.npz", tmp_path)
    with Classifier("gate", store=tmp_path) as in_store:
        assert scores(in_store.classify(IMAGES["jpeg"])) == expected


def test_what_cannot_be_opened_says_why(store: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="has no mobilenet_v3"):
        Classifier("mobilenet_v3", store=store).open()
    with pytest.raises(ModelFileError):
        Classifier(SMALL_V1, store=tmp_path / "none").classify([])
    with pytest.raises(SettingError, match="port: not a setting of a classifier"):
        Classifier(SMALL_V1, store=store, port=80)
    with pytest.raises(SettingError, match="workers"):
        Classifier(SMALL_V1, store=store, workers=-1)
    with pytest.raises(ValueError, match="top_k is 0"):
        Classifier(SMALL_V1, store=store).classify([], top_k=0)


def test_the_example_of_the_docs_runs(store: Path, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "batch.md").read_text("utf-8")
    script = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    script = script.replace("mobilenet_v2_1.0_224", SMALL_V2).replace("models/store", str(store))
    (tmp_path / "photos").mkdir()
    for name in ("cat.jpg", "photos/1.jpg", "photos/2.jpg"):
        (tmp_path / name).write_bytes(IMAGES["jpeg"])
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert lines[0] == lines[1]
    assert lines[2] == "dog.jpg: No such file or directory"
    assert lines[3:] == [f"photos/1.jpg {lines[0]}", f"photos/2.jpg {lines[0]}"]


def test_a_closed_classifier_opens_again(store: Path) -> None:
    classifier = Classifier(SMALL_V1, store=store)
    before = scores(classifier.classify(IMAGES["gif"]))
    classifier.close()
    assert scores(classifier.classify(IMAGES["gif"])) == before
    classifier.close()

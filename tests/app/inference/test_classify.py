"""From bytes to ranked labels on this thread."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from app.card.variant import variants_of
from app.errors import DamagedImage, NotAnImage, TooManyPixels
from app.images.limits import ImageLimits
from app.inference.classify import Classifier, ImageRun, rank, to_results
from app.inference.results import ImageResult
from app.inference.timings import MIN_SAMPLES, Timings
from app.model.model import Model, load_model
from app.model.runtime import new_session
from tests.app.sample_images import encode, noise
from tests.conftest import SMALL_V2

PHOTO = encode(noise())
LABELS = [f"class {index}" for index in range(1000)]


@pytest.fixture(scope="module")
def model(store: Path) -> Model:
    return load_model(store / f"{SMALL_V2}.onnx")


def classified(model: Model, data: bytes, limits: ImageLimits | None = None) -> ImageResult:
    classifier = Classifier(limits or ImageLimits())
    return classifier.classify(data, 1.23456, model=model, resolution=96, top_k=3)


def test_an_image_is_answered_with_its_times(model: Model) -> None:
    result = classified(model, PHOTO)
    assert len(result.predictions) == 3
    assert result.queue_ms == 1.235
    assert result.decode_ms > 0
    assert result.inference_ms > 0
    assert result.error is None


def test_each_time_of_a_run_stands_at_its_name_in_microseconds(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = (np.full(1000, 0.001, np.float32),)
    monkeypatch.setattr(
        Classifier, "run", lambda *_, **__: ImageRun(outputs, 1.23456, 22.22258, 333.33333)
    )
    result = classified(model, PHOTO)
    assert (result.queue_ms, result.decode_ms, result.inference_ms) == (1.235, 22.223, 333.333)


@pytest.mark.parametrize("alone", [False, True])
def test_a_run_on_all_cores_is_no_sample_of_one_core(store: Path, alone: bool) -> None:
    """`auto` predicts the times of one core from the samples."""
    model = load_model(store / f"{SMALL_V2}.onnx")
    model.wide = new_session(store / f"{SMALL_V2}.onnx", threads=2)
    timings = Timings()
    classifier = Classifier(ImageLimits(), timings=timings, take_all_cores=lambda: alone)
    for _ in range(MIN_SAMPLES):
        result = classifier.classify(PHOTO, model=model, resolution=96, top_k=3)
    assert result.inference_ms > 0
    [variant] = variants_of(model.card, model.file_bytes, (96,))
    assert (timings.observed(variant) is None) == alone
    [(_, _, decoding)] = timings.decode_table()
    assert decoding.samples == MIN_SAMPLES
    assert model.used


def test_the_same_image_is_answered_alike(model: Model) -> None:
    assert classified(model, PHOTO).predictions == classified(model, PHOTO).predictions


def test_a_bad_image_is_an_error(model: Model) -> None:
    with pytest.raises(NotAnImage):
        classified(model, b"text")
    with pytest.raises(TooManyPixels):
        classified(model, PHOTO, ImageLimits(max_pixels=160 * 120 - 1))


def test_one_error_among_results_stands_in_its_place(model: Model) -> None:
    good = classified(model, PHOTO)
    first, second = to_results([good, DamagedImage("cut off")])
    assert first == good
    assert second.error is not None
    assert second.error.detail == "cut off"
    assert second.predictions == []


def test_a_single_error_is_raised() -> None:
    with pytest.raises(DamagedImage):
        to_results([DamagedImage("cut off")])


def test_a_bug_is_never_taken_for_a_bad_image(model: Model) -> None:
    with pytest.raises(ZeroDivisionError):
        to_results([classified(model, PHOTO), ZeroDivisionError()])


@settings(deadline=None)
@given(
    arrays(np.float32, st.integers(1, 1000), elements=st.floats(0, 1, width=32)),
    st.integers(1, 100),
)
def test_classes_are_ranked_by_probability_and_then_by_number(
    probabilities: np.ndarray[tuple[int], np.dtype[np.float32]], top_k: int
) -> None:
    ranked = rank(probabilities, LABELS, top_k)
    wanted = sorted(range(len(probabilities)), key=lambda index: (-probabilities[index], index))
    assert [prediction.class_id for prediction in ranked] == wanted[:top_k]
    for prediction in ranked:
        assert prediction.label == f"class {prediction.class_id}"
        assert prediction.probability == probabilities[prediction.class_id]

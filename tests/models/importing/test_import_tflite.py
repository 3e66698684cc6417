"""`.tflite` files of any head and precision are adopted with the answers that LiteRT gave."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.importing.adopt import adopt_file
from models.importing.checks import Refused
from models.importing.dialogue.options import Choices
from models.importing.judges import litert
from models.importing.judges.litert import LiteRT
from models.importing.report import Adoption
from tests.models.importing.exported import run as answers_of
from tests.models.translation.tflite import operator_files
from tests.models.translation.tflite.operator_files import (
    CASES,
    PIXELS,
    PRECISIONS,
    SIDE,
    Builder,
    encode,
)
from tests.models.translation.tflite.record_answers import FILE, key

SCALED = {"mean": (0.5,), "std": (0.5,)}


def adopted(path: Path, classes: int, **said: object) -> Adoption:
    labels = path.with_name("labels.txt")
    labels.write_text("\n".join(f"class {at}" for at in range(classes)))
    return adopt_file(path, Choices(labels=str(labels), **said), "own")  # type: ignore[arg-type]  # of any kind


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("case", "classes"), [("softmax", 4), ("sigmoid", 2)])
def test_a_head_answers_as_in_litert(
    case: str, classes: int, precision: str, tmp_path: Path
) -> None:
    path = tmp_path / "own.tflite"
    path.write_bytes(encode(case, precision))
    integers = precision in ("uint8", "int8", "per_channel")
    adoption = adopted(path, classes, **({} if integers else SCALED))
    with np.load(FILE) as recorded:
        expected = recorded[key(case, precision)].astype(np.float64)
    if integers:
        expected = (expected + 128 * (precision != "uint8")) / 256
    if classes == 2:
        expected = np.concatenate([1 - expected, expected], axis=1)
    probabilities, _ = answers_of(adoption.model, PIXELS)
    bound = {"float32": 1e-6, "float16": 1e-6, "dynamic": 0.01}.get(precision, 0.006)
    assert abs(probabilities - expected).max() < bound
    card = adoption.card
    assert (card.precision, card.family) == ("int8" if integers else "fp32", "other")
    assert card.head_activation == ("sigmoid" if classes == 2 else "softmax")
    assert str(card.resolutions) == f"{SIDE} only"
    found = {finding.what: finding.value for finding in adoption.findings}
    assert found["judged by"] == "LiteRT"
    kinds = {"float32": "float", "float16": "float", "dynamic": "dynamic range"}
    assert found["file"] == f"TFLite, {kinds.get(precision, 'quantised')}"


def test_a_scaling_that_no_float_file_states_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "own.tflite"
    path.write_bytes(encode("softmax", "float32"))
    with pytest.raises(
        Refused, match=r"(?s)does not state .*--mean 0\.5 --std 0\.5 .*--mean 0 --std 1"
    ):
        adopted(path, 4)


def test_a_quantised_input_that_takes_no_pixels_needs_a_scaling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calibrated on noise, integers stand for -7 to 7."""
    monkeypatch.setattr(
        operator_files.Builder, "image", lambda b: b.activation("image", (1, SIDE, SIDE, 3), -7, 7)
    )
    path = tmp_path / "own.tflite"
    path.write_bytes(encode("softmax", "int8"))
    with pytest.raises(Refused, match=r"ranges from -7\.03 to 6\.97, which is no range of pix"):
        adopted(path, 4)
    adoption = adopted(path, 4, **SCALED)
    scaling = next(one for one in adoption.findings if one.what == "scaling")
    assert (scaling.value, scaling.known_by) == ("(pixel / 255 - 0.5) / 0.5", "--mean, --std")


@pytest.mark.parametrize(
    ("factor", "shift", "fed"),
    [
        (1 / 127.5, -1.0, "(pixel / 255 - 0) / 0.00392157"),
        (1 / 255, 0.0, "(pixel / 255 - 0) / 0.00392157"),
        (2.0, -1.0, "(pixel / 255 - 0) / 1"),
    ],
)
def test_scaling_in_the_file_is_not_done_twice(
    factor: float, shift: float, fed: str, tmp_path: Path
) -> None:
    def scaled(b: Builder) -> int:
        image = b.image()
        for kind, value in (("MUL", factor), ("ADD", shift)):
            operand = b.constant(np.array(value, np.float32))
            image = b.arithmetic(kind, image, operand)
        return b.add(
            "SOFTMAX",
            [b.dense(b.mean(b.convolution(image)), 4)],
            b.activation("p", (1, 4)),
            Beta=1.0,
        )

    path = tmp_path / "own.tflite"
    builder = Builder("float32")
    path.write_bytes(builder.done(scaled(builder)).encode())
    adoption = adopted(path, 4, like="keras")
    scaling = next(one for one in adoption.findings if one.what == "scaling")
    assert (scaling.value, scaling.known_by) == (fed, "the graph scales by itself")


def test_where_litert_is_not_installed_the_import_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(litert, "find_spec", lambda _: None)
    path = tmp_path / "own.tflite"
    path.write_bytes(encode("softmax", "int8"))
    found = {one.what: one for one in adopted(path, 4).findings}["judged by"]
    assert (found.value, found.known_by) == (
        "nobody",
        "not judged: LiteRT can, with `pip install '.[import]'`",
    )


@pytest.mark.parametrize(
    ("precision", "advice"),
    [("int8", ""), ("dynamic", " LiteRT rounds the activations .* itself .* off .* dataset")],
)
def test_a_translation_that_differs_from_litert_is_never_adopted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, advice: str
) -> None:
    real: Callable[..., np.ndarray] = LiteRT.scores
    monkeypatch.setattr(LiteRT, "scores", lambda self, fed: real(self, fed)[:, ::-1])
    path = tmp_path / "own.tflite"
    path.write_bytes(encode("softmax", precision))
    said = SCALED if precision == "dynamic" else {}
    with pytest.raises(Refused, match=rf"off what LiteRT answers, so it is not adopted\.{advice}"):
        adopted(path, 4, **said)


def test_another_first_class_than_that_of_litert_is_never_adopted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the tolerance, but by more than it in front of the class that was the first."""
    real: Callable[..., np.ndarray] = LiteRT.scores

    def turned(self: LiteRT, fed: np.ndarray) -> np.ndarray:
        scores = real(self, fed)
        rows, order = np.arange(len(scores)), scores.argsort(axis=1)
        margin = scores[rows, order[:, -1]] - scores[rows, order[:, -2]]
        scores[rows, order[:, -1]] -= 1.5 * margin
        scores[rows, order[:, -2]] += 1.5 * margin
        self.tolerance = 1.6 * float(margin.max())
        return scores

    monkeypatch.setattr(LiteRT, "scores", turned)
    path = tmp_path / "own.tflite"
    path.write_bytes(encode("softmax", "float32"))
    with pytest.raises(Refused, match="finds another class than LiteRT"):
        adopted(path, 4, **SCALED)


@pytest.mark.parametrize("case", ["conv", "concatenation"])
def test_a_map_is_no_classifier(case: str, tmp_path: Path) -> None:
    path = tmp_path / "own.tflite"
    path.write_bytes(encode(case, "float32"))
    assert case in CASES
    with pytest.raises(Refused, match="not one score per class: a segmentation"):
        adopted(path, 4, **SCALED)


@pytest.mark.parametrize(("low", "high", "mean", "std"), [(-1, 1, "0.5", "0.5"), (0, 1, "0", "1")])
def test_the_range_of_the_first_quantize_tells_the_scaling(
    tmp_path: Path, low: float, high: float, mean: str, std: str
) -> None:
    path = quantising_floats(tmp_path / "own.tflite", low, high)
    found = {one.what: one for one in adopted(path, 4).findings}
    assert found["scaling"].value == f"(pixel / 255 - {mean}) / {std}"
    assert found["scaling"].known_by == "the range of its first QUANTIZE"


def test_a_first_quantize_of_no_range_of_pixels_tells_nothing(tmp_path: Path) -> None:
    path = quantising_floats(tmp_path / "own.tflite", -7, 7)
    with pytest.raises(Refused, match="does not state the scaling of its float input"):
        adopted(path, 4)


def quantising_floats(path: Path, low: float, high: float) -> Path:
    """A file of integers that takes floats, as the converter writes without inference types."""
    builder = Builder("int8")
    shape = (1, 9, 9, 3)
    image = builder.file.add("image", shape, "float32")
    levels = builder.add("QUANTIZE", [image], builder.activation("levels", shape, low, high))
    logits = builder.dense(builder.mean(builder.convolution(levels)), 4)
    made = builder.file.add("probabilities", (1, 4), "int8", None, (1 / 256, -128))
    file = builder.done(builder.add("SOFTMAX", [logits], made, Beta=1.0))
    path.write_bytes(file.encode())
    return path

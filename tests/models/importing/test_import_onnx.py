"""Classifiers from elsewhere, as the real exporters and onnxruntime's quantiser write them."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from app.model.model import load_model
from models.export.export import write_model
from models.importing.checks import Refused
from models.importing.import_onnx import adopt
from models.importing.report import Adoption
from models.network.cost import network_cost
from models.network.mobilenet_v2 import mobilenet_v2
from tests.models.importing.exported import (
    EXPORTS,
    KERAS,
    TORCH,
    TORCH_SCRIPT,
    Export,
    run,
    write_labels,
)
from tests.models.importing.inputs import LABELS, SIDE, images

TOLERANCE = 1e-4  # what the adopted file may be off, in probability


def adopted(export: Export, folder: Path, **more: Any) -> Adoption:
    return adopt(export.unpack(folder), export.choices(write_labels(folder), **more))


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Export], Adoption]:
    """Every export, adopted once for the tests that only look at it."""
    folder = tmp_path_factory.mktemp("exports")
    return cache(lambda export: adopted(export, folder))


def found(adoption: Adoption, what: str) -> str:
    [value] = [finding.value for finding in adoption.findings if finding.what == what]
    return value


# --- what is adopted ---------------------------------------------------------------------------


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.name)
def test_an_export_answers_as_its_framework_did(
    export: Export, imported: Callable[[Export], Adoption], tmp_path: Path
) -> None:
    adoption = imported(export)
    probabilities, embedding = run(adoption.model)
    assert abs(probabilities - export.recorded()).max() < TOLERANCE
    original = export.answers(export.unpack(tmp_path), images())
    assert abs(probabilities - original).max() < TOLERANCE
    assert np.ptp(probabilities, axis=0).max() > 100 * TOLERANCE  # the images are told apart
    assert probabilities.max() < 0.99  # far from a constant answer
    assert embedding.shape == (3, 1280)


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.name)
def test_the_embedding_is_what_the_classifier_weighs(
    export: Export, imported: Callable[[Export], Adoption]
) -> None:
    """The scores follow from the embedding by one matrix, whatever the images."""
    adoption = imported(export)
    probabilities, embedding = run(adoption.model, images(16))
    scores = np.log(np.maximum(probabilities, 1e-30)).astype(np.float64)
    given = np.c_[embedding, np.ones(16)] - np.r_[embedding[0], 1.0]
    relative = (scores - scores[0]) - (scores - scores[0]).mean(axis=1, keepdims=True)
    matrices = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in adoption.model.graph.initializer
        if sorted(tensor.dims) == [10, 1280]
    }
    [matrix] = matrices.values()
    if matrix.shape[0] == 10:
        matrix = matrix.T
    expected = given[:, :-1].astype(np.float64) @ matrix
    expected -= expected.mean(axis=1, keepdims=True)
    assert abs(relative - expected).max() < 1e-2
    assert abs(expected).max() > 0.1


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.name)
def test_family_width_and_cost_are_those_of_the_definition(
    export: Export, imported: Callable[[Export], Adoption]
) -> None:
    card = imported(export).card
    defined = network_cost(mobilenet_v2(0.05, SIDE, len(LABELS)))
    assert (card.family, card.alpha, card.precision) == ("mobilenet_v2", 0.05, "fp32")
    assert card.cost.madds == defined.madds
    assert card.cost.stored_params == defined.stored_params
    assert card.cost.classifier_madds == defined.classifier_madds
    assert card.cost.peak_activation_bytes == defined.peak_activation_bytes
    assert card.labels == LABELS
    assert (card.origin.kind, card.accuracy) == ("imported", None)


def test_a_fixed_size_is_the_only_one_and_a_free_one_is_tried(
    imported: Callable[[Export], Adoption],
) -> None:
    fixed = imported(TORCH)
    assert str(fixed.card.resolutions) == "96 only"
    assert 128 not in fixed.card.resolutions
    free = imported(TORCH_SCRIPT)
    assert str(free.card.resolutions) == "96 to 512 in steps of 32"
    probabilities, _ = run(free.model, images(1, 192))
    assert probabilities.shape == (1, len(LABELS))


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.name)
def test_what_was_detected_is_reported_with_its_source(
    export: Export, imported: Callable[[Export], Adoption]
) -> None:
    adoption = imported(export)
    assert found(adoption, "input").endswith("NHWC" if export.nhwc else "NCHW")
    assert found(adoption, "scores").endswith("probabilities" if export.nhwc else "logits")
    assert found(adoption, "batch") == "any"
    assert all(finding.known_by for finding in adoption.findings)


def test_an_adopted_file_is_served(tmp_path: Path) -> None:
    adoption = adopted(KERAS, tmp_path, background=False)
    path = write_model(adoption.model, tmp_path / "store" / "adopted.onnx")
    model = load_model(path)
    assert model.card == adoption.card
    assert abs(model.probabilities(images()) - KERAS.recorded()).max() < TOLERANCE
    assert model.embedding(images()).shape == (3, 1280)


def test_weights_in_a_separate_file_are_included(tmp_path: Path) -> None:
    path = TORCH.unpack(tmp_path)
    onnx.save(
        onnx.load(path), path, save_as_external_data=True, location="weights.bin", size_threshold=64
    )
    adoption = adopt(path, TORCH.choices(write_labels(tmp_path)))
    assert abs(run(adoption.model)[0] - TORCH.recorded()).max() < TOLERANCE
    names = [file.name for file in adoption.card.origin.files]
    assert names == ["torch_export.onnx", "weights.bin"]
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(Refused, match=r"weights in the file 'weights\.bin', which is not beside"):
        adopt(path, TORCH.choices(write_labels(tmp_path)))


class Calibration(CalibrationDataReader):  # type: ignore[misc]  # its base has no types
    """What the quantiser looks at."""

    def __init__(self, export: Export, entry: str) -> None:
        self.batches: Iterator[dict[str, Any]] = iter(
            [{entry: export.fed(image[None])} for image in images(4)]
        )

    def get_next(self) -> dict[str, Any] | None:
        return next(self.batches, None)


def quantise(export: Export, path: Path, form: str) -> Path:
    """Quantise a file with onnxruntime's own tool."""
    target = path.with_name(f"{form}.onnx")
    if form == "dynamic":
        quantize_dynamic(path, target, weight_type=QuantType.QUInt8)
        return target
    [entry] = onnx.load(path).graph.input
    quantize_static(
        path,
        target,
        Calibration(export, entry.name),
        quant_format=QuantFormat[form],
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return target


@pytest.mark.parametrize("form", ["QDQ", "QOperator", "dynamic"])
@pytest.mark.parametrize("export", [TORCH_SCRIPT, KERAS], ids=lambda export: export.name)
def test_what_onnxruntime_quantised_answers_as_before(
    export: Export, form: str, tmp_path: Path
) -> None:
    path = quantise(export, export.unpack(tmp_path), form)
    adoption = adopt(path, export.choices(write_labels(tmp_path)))
    session = load_model(write_model(adoption.model, tmp_path / "adopted.onnx"))
    rows = [session.probabilities(image[None])[0] for image in images()]
    assert abs(np.stack(rows) - export.answers(path, images())).max() < TOLERANCE
    defined = network_cost(mobilenet_v2(0.05, SIDE, len(LABELS)), "int8")
    card = adoption.card
    assert (card.precision, card.family, card.alpha) == ("int8", "mobilenet_v2", 0.05)
    assert (card.cost.madds, card.cost.stored_params) == (defined.madds, defined.stored_params)

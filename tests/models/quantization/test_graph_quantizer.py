"""A float graph of any layers is quantised with onnxruntime's tool, and compared like any other."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from app.model.model import load_model
from models.export.export import write_model
from models.importing.import_onnx import adopt
from tests.app.cli_runner import refused
from tests.models.importing.exported import KERAS, write_labels
from tests.models.importing.graphs import saved, small
from tests.models.quantization.test_quantize import quantized

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(3)
    for number in range(8):
        coarse = Image.fromarray(random.integers(0, 256, (4, 4, 3), np.uint8))
        coarse.resize((60, 60)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with an imported graph of one convolution, which no MobileNet is."""
    folder = tmp_path / "store"
    folder.mkdir()
    path = saved(small(["N", 3, 32, 32], end="Softmax", axis=1).model("out"), tmp_path)
    adoption = adopt(path, KERAS.choices(write_labels(tmp_path)), "door")
    write_model(adoption.model, folder / "door.onnx")
    return folder


def test_the_better_of_two_ways_to_calibrate_is_kept(
    capsys: Capture, store: Path, photos: Path
) -> None:
    said = quantized(capsys, "door", store, photos)
    assert [trial["method"] for trial in said["ladder"]] == ["minmax", "quantile"]
    found, original = load_model(Path(said["file"])), load_model(store / "door.onnx")
    assert found.card.precision == "int8"
    assert found.card.precision_origin == "post_training_int8"
    assert (found.card.cost.params, found.card.cost.madds) == (
        original.card.cost.params,
        original.card.cost.madds,
    )
    kernels = [item for item in onnx.load(said["file"]).graph.initializer if len(item.dims) == 4]
    assert [item.data_type for item in kernels] == [onnx.TensorProto.INT8]
    images = np.random.default_rng(8).integers(0, 256, (3, 32, 32, 3), np.uint8)
    together = found.probabilities(images)
    assert abs(together - original.probabilities(images)).max() < 0.05
    alone = np.concatenate([found.probabilities(image[np.newaxis]) for image in images])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_a_method_that_needs_known_layers_is_rejected(
    capsys: Capture, store: Path, photos: Path
) -> None:
    said = refused(
        capsys, "models", "quantize", "door", "--calibration", str(photos), "--store", str(store),
        "--method", "equalized",
    )  # fmt: skip
    assert "Supported for this model: minmax, quantile." in said
    assert not (store / "door_ptq.onnx").exists()

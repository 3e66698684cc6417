from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.checkpoints.checkpoint import CheckpointError, template
from models.checkpoints.torch import torchvision
from models.network.mobilenet_v2 import mobilenet_v2
from tests.models.checkpoints.torch import torch_files as write
from tests.models.checkpoints.torch.state_dicts import Tensors, state_dict


def narrow_state_dict() -> Tensors:
    """A MobileNetV2 0.1 with 10 classes, named as torchvision would name it."""
    network = mobilenet_v2(alpha=0.1, classes=10)
    return state_dict(network, torchvision.convolutions(), torchvision.CLASSIFIER)


def save(tensors: Tensors, folder: Path) -> Path:
    path = folder / "weights.pth"
    path.write_bytes(write.zipped(*write.state_dict(tensors)))
    return path


def test_a_narrow_network_is_read_with_its_batch_norm_folded(tmp_path: Path) -> None:
    checkpoint = torchvision.read(save(narrow_state_dict(), tmp_path), eps=0)
    nodes = template("mobilenet_v2").nodes
    assert list(checkpoint.layers) == [n.name for n in nodes if n.name in checkpoint.layers]
    assert len(checkpoint.layers) == 53
    assert checkpoint.quantization is None
    # scale 3 / sqrt(0.25) = 6, shift 5 - 7 * 6 = -37
    stem = checkpoint.layers["stem"]
    assert stem.kernel.shape == (8, 3, 3, 3)
    assert (stem.kernel == 12).all()
    assert (stem.bias == -37).all()
    assert checkpoint.layers["block_0_depthwise"].kernel.shape == (8, 1, 3, 3)
    assert checkpoint.layers["classifier"].kernel.shape == (10, 1280, 1, 1)
    np.testing.assert_array_equal(checkpoint.layers["classifier"].bias, np.arange(10))


def test_the_real_default_weights_become_53_layers(default_weights: Path) -> None:
    layers = torchvision.read(default_weights).layers
    assert len(layers) == 53
    assert layers["block_1_expand"].kernel.shape == (96, 16, 1, 1)
    assert layers["block_16_project"].kernel.shape == (320, 960, 1, 1)
    assert layers["classifier"].kernel.shape == (1000, 1280, 1, 1)
    assert sum(layer.kernel.size + layer.bias.size for layer in layers.values()) == 3_487_816


@pytest.mark.parametrize("name", ["features.3.conv.2.weight", "classifier.1.bias"])
def test_a_missing_tensor_is_named(tmp_path: Path, name: str) -> None:
    tensors = narrow_state_dict()
    del tensors[name]
    with pytest.raises(CheckpointError, match=rf"weights\.pth: tensors are missing: {name}"):
        torchvision.read(save(tensors, tmp_path))


def test_a_surplus_tensor_is_named(tmp_path: Path) -> None:
    tensors = narrow_state_dict() | {"features.19.weight": np.ones(1, np.float32)}
    with pytest.raises(
        CheckpointError, match=r"are not of this mobilenet_v2: features\.19\.weight"
    ):
        torchvision.read(save(tensors, tmp_path))


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("features.0.1.weight", np.ones(9, np.float32), "features.0.0: a kernel"),
        ("features.0.1.running_var", -np.ones(8, np.float32), "features.0.0: a variance"),
        ("features.0.0.weight", np.ones((8, 3, 1, 1), np.float32), "stem has a kernel"),
        ("features.0.0.weight", np.ones((8, 3, 3, 3), np.int64), "is int64, not a float"),
        ("features.0.0.weight", np.full((8, 3, 3, 3), np.nan, np.float32), "not a finite number"),
        ("classifier.1.weight", np.ones(10, np.float32), r"not \[classes, channels\]"),
        ("classifier.1.bias", np.ones(11, np.float32), "classifier has a kernel"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(
    tmp_path: Path, name: str, values: NDArray[Any], reason: str
) -> None:
    path = save(narrow_state_dict() | {name: values}, tmp_path)
    with pytest.raises(CheckpointError, match=reason):
        torchvision.read(path)

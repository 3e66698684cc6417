"""torchvision's MobileNetV2 state dict (`torchvision.models.mobilenet_v2`), of any width.

features.0.{0,1}          stem: convolution, batch norm
features.I.conv. ...      block I - 1, I = 1 to 17: pairs I.0, I.1 for the expansion (not in the
                          first block) and the depthwise layer, then convolution and batch norm
                          of the projection side by side
features.18.{0,1}         head
classifier.1              linear, with a bias
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from models.checkpoints.canonical import (
    Checkpoint,
    CheckpointError,
    Float32,
    LayerWeights,
    check_layers,
    fold_batch_norm,
    template,
)
from models.checkpoints.torch_pickle import Array, read_state_dict

BLOCKS = 17
BATCH_NORM = ("weight", "bias", "running_mean", "running_var")
CLASSIFIER = ("classifier.1.weight", "classifier.1.bias")
# counts training steps; no part of the network
COUNTER = "num_batches_tracked"


def read(path: Path, *, eps: float = 1e-5) -> Checkpoint:
    """Weights of torchvision's MobileNetV2; `eps` is that of its batch norm (torch's default).

    Raises:
        CheckpointError: the file cannot be read, or its tensors are not those of the network.
    """
    tensors = read_state_dict(path)
    try:
        _check_names(tensors)
        layers = {
            name: _convolution(tensors, conv, norm, eps) for name, conv, norm in _convolutions()
        }
        kernel, bias = (_float32(tensors, name) for name in CLASSIFIER)
        if kernel.ndim != 2:
            raise CheckpointError(f"classifier.1.weight is {kernel.shape}, not [classes, channels]")
        layers["classifier"] = LayerWeights(kernel[:, :, None, None], bias)
        check_layers(layers, template("mobilenet_v2"))
    except CheckpointError as error:
        raise CheckpointError(f"{path.name}: {error}") from error
    return Checkpoint(layers)


def _convolutions() -> Iterator[tuple[str, str, str]]:
    """Name of each convolution with torchvision's prefixes of it and of its batch norm."""
    yield "stem", "features.0.0", "features.0.1"
    for block in range(BLOCKS):
        prefix = f"features.{block + 1}.conv"
        parts = ["depthwise"] if block == 0 else ["expand", "depthwise"]
        for index, part in enumerate(parts):
            yield f"block_{block}_{part}", f"{prefix}.{index}.0", f"{prefix}.{index}.1"
        end = len(parts)
        yield f"block_{block}_project", f"{prefix}.{end}", f"{prefix}.{end + 1}"
    yield "head", f"features.{BLOCKS + 1}.0", f"features.{BLOCKS + 1}.1"


def _check_names(tensors: dict[str, Array]) -> None:
    expected = set(CLASSIFIER)
    for _, conv, norm in _convolutions():
        expected |= {f"{conv}.weight", *(f"{norm}.{part}" for part in BATCH_NORM)}
    present = {name for name in tensors if not name.endswith(f".{COUNTER}")}
    if missing := sorted(expected - present):
        raise CheckpointError(f"tensors are missing: {', '.join(missing)}")
    if surplus := sorted(present - expected):
        raise CheckpointError(f"tensors are not of MobileNetV2: {', '.join(surplus)}")


def _convolution(tensors: dict[str, Array], conv: str, norm: str, eps: float) -> LayerWeights:
    kernel = _float32(tensors, f"{conv}.weight")
    gamma, beta, mean, variance = (_float32(tensors, f"{norm}.{part}") for part in BATCH_NORM)
    try:
        return fold_batch_norm(kernel, gamma, beta, mean, variance, eps)
    except CheckpointError as error:
        raise CheckpointError(f"{conv}: {error}") from None


def _float32(tensors: dict[str, Array], name: str) -> Float32:
    tensor = tensors[name]
    if tensor.dtype.kind != "f":
        raise CheckpointError(f"{name} is {tensor.dtype}, not a float")
    return tensor.astype(np.float32)

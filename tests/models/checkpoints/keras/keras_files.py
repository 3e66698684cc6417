"""Files as Keras writes them, with derived weights, laid out as was recorded from real ones."""

import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from models.checkpoints.checkpoint import Checkpoint
from tests.models.fidelity.keras_record import KerasCase, derived_tensor


def write_named(
    path: Path, case: KerasCase, *, saved_model: bool = False, names: Callable[[str], str] = str
) -> Path:
    """An `.h5` with weights by the name of the layer, or with a whole model around them.

    `names` gives the name of a layer in the file: older versions had others.
    """
    with h5py.File(path, "w") as file:
        saved = file.create_group("model_weights") if saved_model else file
        saved.attrs["layer_names"] = [names(name) for name in case.layers]
        for name, shapes in case.layers.items():
            layer = saved.create_group(names(name))
            layer.attrs["weight_names"] = [_weight_path(names, path) for path in shapes]
            for weight, shape in shapes.items():
                layer[_weight_path(names, weight)] = derived_tensor(weight, shape)
    return path


def write_counted(path: Path, case: KerasCase) -> Path:
    """A `.weights.h5`, where layers go by their class and a number."""
    with h5py.File(path, "w") as file:
        file.create_group("vars")
        for group, name in case.groups.items():
            kept = file.create_group(f"layers/{group}/vars")
            for index, (weight, shape) in enumerate(case.layers.get(name, {}).items()):
                kept[str(index)] = derived_tensor(weight, shape)
    return path


def published_v2_name(name: str) -> str:
    """What the published files of MobileNetV2 call a layer that today has `name`."""
    if name == "predictions":
        return "Logits"
    if not (found := re.fullmatch(r"(?:block_(\d+)|expanded_conv)_([a-z]+)(_BN)?", name)):
        return name
    block, part, norm = found[1] or "0", found[2], found[3]
    return f"bn{block}_conv_{block}_bn_{part}" if norm else f"mobl{block}_conv_{block}_{part}"


def _weight_path(names: Callable[[str], str], path: str) -> str:
    layer, _, part = path.rpartition("/")
    if names is str:
        return path
    named = names(layer)
    older = "depthwise_kernel" if part == "kernel" and named.endswith("depthwise") else part
    return f"{named}/{older}:0"


def same(first: Checkpoint, second: Checkpoint) -> bool:
    """Whether two checkpoints have the same layers."""
    return first.layers.keys() == second.layers.keys() and all(
        np.array_equal(first.layers[name].kernel, second.layers[name].kernel)
        and np.array_equal(first.layers[name].bias, second.layers[name].bias)
        for name in first.layers
    )

"""Where a whole saved model of Keras keeps the weights of each of its layers.

`.keras` counts the layers of each class in a model, in their order, and numbers the tensors of a
layer. `.h5` goes by names, and has the tensors of a model in a model under the outermost one.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import h5py

from app.arrays import Float32Array
from models.checkpoints.checkpoint import CheckpointError
from models.checkpoints.keras import hdf5

KERNEL_BIAS = ("kernel", "bias")
BATCH_NORM = (("scale", "gamma"), ("center", "beta"))


class Variables:
    """The weights of one model, or of one in it, by its layers."""

    def __init__(self, root: h5py.Group, path: str, layers: list[Mapping[str, Any]]) -> None:
        self.root = root
        self.counted = self._counted(path, layers)
        self.named = hdf5.has(root, "model_weights")
        self.saved = hdf5.group(root, "model_weights") if self.named else root

    def _counted(self, path: str, layers: list[Mapping[str, Any]]) -> dict[str, str]:
        """The path of each layer by class and number."""
        seen: Counter[str] = Counter()
        found = {}
        for layer in layers:
            kind = _snake(str(layer["class_name"]))
            number = seen[kind]
            seen[kind] += 1
            name = f"{kind}_{number}" if number else kind
            found[str(layer["config"]["name"])] = f"{path}layers/{name}"
        return found

    def of(self, kind: str, config: Mapping[str, Any], outermost: str) -> dict[str, Float32Array]:
        """Tensors of a layer by their names.

        Raises:
            CheckpointError: they are not as many as the layer has.
        """
        wanted = _wanted(kind, config)
        if not wanted:
            return {}
        name = str(config["name"])
        if not self.named:
            kept = hdf5.group(self.saved, f"{self.counted[name]}/vars")
            if len(kept) < len(wanted):
                raise CheckpointError(f"{name} has {len(kept)} tensors, not {len(wanted)}")
            return {one: hdf5.tensor(kept, str(at)) for at, one in enumerate(wanted)}
        paths = {}
        for path in hdf5.names(hdf5.group(self.saved, outermost), "weight_names"):
            owner, _, part = path.partition(":")[0].rpartition("/")
            if outermost == name or owner.rpartition("/")[2] == name:
                paths[part] = f"{outermost}/{path}"
        if kind == "DepthwiseConv2D" and "depthwise_kernel" in paths:
            paths["kernel"] = paths.pop("depthwise_kernel")
        if missing := [one for one in wanted if one not in paths]:
            raise CheckpointError(f"{name} has no {', '.join(missing)}")
        return {one: hdf5.tensor(self.saved, paths[one]) for one in wanted}


def _wanted(kind: str, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of a layer's tensors, in the order of its numbers."""
    biased = ("bias",) if config.get("use_bias", True) else ()
    if kind in ("Conv2D", "DepthwiseConv2D", "Dense"):
        return ("kernel", *biased)
    if kind == "SeparableConv2D":
        return ("depthwise_kernel", "pointwise_kernel", *biased)
    if kind == "BatchNormalization":
        kept = tuple(name for flag, name in BATCH_NORM if config.get(flag, True))
        return (*kept, "moving_mean", "moving_variance")
    if kind == "PReLU":
        return ("alpha",)
    if kind == "LayerNormalization":
        return tuple(name for flag, name in BATCH_NORM if config.get(flag, True))
    if kind == "Normalization" and config.get("mean") is None:
        return ("mean", "variance")
    return ()


def _snake(name: str) -> str:
    """As Keras writes the name of a class (keras/src/utils/naming.py)."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()

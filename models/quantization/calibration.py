"""What the activations of a float model are on real pictures: the facts that quantisation needs."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from app.arrays import Float32Array, Uint8Array
from app.model.runtime import new_session
from app.system.cores import usable_cores
from models.network.network import INPUT, Network

Progress = Callable[[], None]

# Enough for the thousandth part of a tensor that percentiles are about; of all tensors and images
# together that is some 100 MB.
SAMPLES_PER_TENSOR = 1 << 19


@dataclass(frozen=True, slots=True)
class Activations:
    """What one tensor of the network was over all calibration images, by channel.

    minimum, maximum and mean are [channels], over every position of every image; samples are
    [positions, channels], the values at randomly drawn positions.
    """

    minimum: Float32Array
    maximum: Float32Array
    mean: Float32Array
    samples: Float32Array

    def scaled(self, factors: Float32Array) -> "Activations":
        """The same with each channel multiplied by a factor above 0."""
        return Activations(
            self.minimum * factors,
            self.maximum * factors,
            self.mean * factors,
            self.samples * factors,
        )

    @property
    def reach(self) -> Float32Array:
        """The largest magnitude of each channel, [channels]."""
        return np.maximum(np.abs(self.minimum), np.abs(self.maximum))


def observe(
    path: Path, network: Network, images: Sequence[Uint8Array], done: Progress = lambda: None
) -> dict[str, Activations]:
    """Run the float model on images [1, H, W, 3] and keep what comes out of each layer.

    `done` is called after each image. Uses every core; the result does not depend on how many.
    """
    names = [node.name for node in network.nodes if node.layer.kind != "linear"]
    session = _session_with_outputs(path, names)
    positions = {step.node.name: step.output_shape for step in network.steps()}
    draws = {name: ceil(SAMPLES_PER_TENSOR / len(images) / positions[name][0]) for name in names}

    def look(index: int) -> list[Activations]:
        tensors = session.run(names, {INPUT: images[index]})
        random = np.random.default_rng(index)
        seen = [
            _look(tensor[0], draws[name], random)
            for name, tensor in zip(names, tensors, strict=True)
        ]
        done()
        return seen

    with ThreadPoolExecutor(usable_cores().count) as pool:
        looks = list(pool.map(look, range(len(images))))
    return {
        name: _merge(parts) for name, parts in zip(names, zip(*looks, strict=True), strict=True)
    }


def _look(tensor: Float32Array, draws: int, random: np.random.Generator) -> Activations:
    """One image's part: tensor [channels, height, width]."""
    flat = tensor.reshape(len(tensor), -1)
    taken = random.choice(flat.shape[1], min(draws, flat.shape[1]), replace=False)
    return Activations(
        np.asarray(flat.min(axis=1)),
        np.asarray(flat.max(axis=1)),
        np.asarray(flat.mean(axis=1)),
        np.ascontiguousarray(flat[:, taken].T),
    )


def _merge(parts: Iterable[Activations]) -> Activations:
    parts = list(parts)
    return Activations(
        np.min([part.minimum for part in parts], axis=0),
        np.max([part.maximum for part in parts], axis=0),
        np.asarray(np.mean([part.mean for part in parts], axis=0, dtype=np.float64), np.float32),
        np.concatenate([part.samples for part in parts]),
    )


def _session_with_outputs(path: Path, names: Iterable[str]) -> Any:
    """A session over the model that gives these tensors too."""
    model = onnx.load(path)
    there = {value.name for value in model.graph.output}
    model.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in names
        if name not in there
    )
    return new_session(model.SerializeToString())

"""Calibration: statistics of a float model's activations on real images."""

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

# Enough samples for the 99.99th percentile of a tensor; all tensors together take about 100 MB.
SAMPLES_PER_TENSOR = 1 << 19


@dataclass(frozen=True, slots=True)
class Activations:
    """Statistics of one tensor of the network over all calibration images.

    minimum, maximum and mean are [channels], over every position of every image; samples are
    [positions, channels], the values at randomly drawn positions.
    """

    minimum: Float32Array
    maximum: Float32Array
    mean: Float32Array
    samples: Float32Array

    def scaled(self, factors: Float32Array) -> "Activations":
        """The statistics after each channel is multiplied by a factor above 0."""
        return Activations(
            self.minimum * factors,
            self.maximum * factors,
            self.mean * factors,
            self.samples * factors,
        )

    @property
    def magnitude(self) -> Float32Array:
        """The largest magnitude of each channel, [channels]."""
        return np.maximum(np.abs(self.minimum), np.abs(self.maximum))


def observe(
    path: Path,
    network: Network,
    images: Sequence[Uint8Array],
    on_image: Callable[[], None] = lambda: None,
) -> dict[str, Activations]:
    """Run the float model on images [1, H, W, 3]; return the statistics of each layer's output.

    `on_image` is called after each image. Uses all cores; the result does not depend on their
    number.
    """
    names = [node.name for node in network.nodes if node.layer.kind != "linear"]
    session = _session_with_outputs(path, names)
    positions = {step.node.name: step.output_shape for step in network.steps()}
    draws = {name: ceil(SAMPLES_PER_TENSOR / len(images) / positions[name][0]) for name in names}

    def run(index: int) -> list[Activations]:
        tensors = session.run(names, {INPUT: images[index]})
        random = np.random.default_rng(index)
        statistics = [
            _statistics(tensor[0], draws[name], random)
            for name, tensor in zip(names, tensors, strict=True)
        ]
        on_image()
        return statistics

    with ThreadPoolExecutor(usable_cores().count) as pool:
        by_image = list(pool.map(run, range(len(images))))
    return {
        name: _merge(parts) for name, parts in zip(names, zip(*by_image, strict=True), strict=True)
    }


def _statistics(tensor: Float32Array, draws: int, random: np.random.Generator) -> Activations:
    """Statistics of one image's tensor [channels, height, width]."""
    flat = tensor.reshape(len(tensor), -1)
    positions = random.choice(flat.shape[1], min(draws, flat.shape[1]), replace=False)
    return Activations(
        np.asarray(flat.min(axis=1)),
        np.asarray(flat.max(axis=1)),
        np.asarray(flat.mean(axis=1)),
        np.ascontiguousarray(flat[:, positions].T),
    )


def _merge(parts: Sequence[Activations]) -> Activations:
    return Activations(
        np.min([part.minimum for part in parts], axis=0),
        np.max([part.maximum for part in parts], axis=0),
        np.asarray(np.mean([part.mean for part in parts], axis=0, dtype=np.float64), np.float32),
        np.concatenate([part.samples for part in parts]),
    )


def _session_with_outputs(path: Path, names: Iterable[str]) -> Any:
    model = onnx.load(path)
    outputs = {value.name for value in model.graph.output}
    model.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in names
        if name not in outputs
    )
    return new_session(model.SerializeToString())

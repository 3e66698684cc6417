"""Bias corrections measured on the INT8 network itself, layer by layer.

A correction that is computed from the rounding of one layer misses what the layers before it have
changed. Here the layers before are already in INT8 and corrected when a layer's mean output is
compared with the float network's (Nagel et al. 2019, arXiv 1906.04721, appendix D).
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from app.arrays import Float64Array, Uint8Array
from app.card.card import INPUT, LOGITS
from app.model.runtime import new_session
from app.system.cores import usable_cores
from models.export.exported import Exported
from models.export.graph import build_graph
from models.export.post_training_graph import PostTrainingWriter
from models.files.onnx_file import read_model
from models.network.layers import Conv
from models.network.network import Node
from models.recipes.factors import STEPS, tensors_with_shared_factors
from models.recipes.integers import CalibratedNumbers, LayerNumbers, bias_steps, integer_form

MAX_IMAGES = 96  # of the calibration; each layer runs all of them


def measure_bias(
    model: Exported,
    path: Path,
    numbers: CalibratedNumbers,
    images: Sequence[Uint8Array],
    on_layer: Callable[[], None] = lambda: None,
) -> CalibratedNumbers:
    """The numbers with corrections that make every layer's mean output that of the float model.

    `path` is the float file of the model. `on_layer` is called after each layer.
    """
    images = images[:MAX_IMAGES]
    nodes = [node for node in model.network.nodes if node.name in numbers.layers]
    wanted = _means(read_model(path), [_float_output(node) for node in nodes], images)
    factors = _factors_by_tensor(model, numbers)
    integers = integer_form(model.network, model.checkpoint.layers, numbers)
    graph = build_graph(model.network, PostTrainingWriter(integers), model.background)
    biases = {tensor.name.removesuffix(".bias"): tensor for tensor in graph.graph.initializer}
    layers = {}
    for node, mean in zip(nodes, wanted, strict=True):
        name, layer = node.name, numbers.layers[node.name]
        [got] = _means(graph, [LOGITS if node.layer.kind == "linear" else f"{name}.float"], images)
        steps = bias_steps(numbers.activations[node.inputs[0]], layer.scales)
        missing = np.rint((mean * factors.get(name, 1.0) - got) / steps).astype(np.int32)
        layers[name] = LayerNumbers(layer.scales, layer.corrections + missing)
        corrected = integers.layers[name].bias + missing
        biases[name].CopyFrom(numpy_helper.from_array(corrected, f"{name}.bias"))
        on_layer()
    return CalibratedNumbers(numbers.activations, numbers.factors, layers)


def _float_output(node: Node) -> str:
    """The tensor of the float graph before the activation of a layer."""
    if node.layer.kind == "linear":
        return LOGITS
    clipped = isinstance(node.layer, Conv) and node.layer.activation
    return f"{node.name}.linear" if clipped else node.name


def _factors_by_tensor(model: Exported, numbers: CalibratedNumbers) -> Mapping[str, Float64Array]:
    groups = tensors_with_shared_factors(model.network)
    return {
        name: steps / STEPS for first, steps in numbers.factors.items() for name in groups[first]
    }


def _means(
    graph: onnx.ModelProto, names: Sequence[str], images: Sequence[Uint8Array]
) -> list[Float64Array]:
    """Mean of each tensor over images and positions, [channels]."""
    del graph.graph.output[:]  # so that only what leads to the tensors is computed
    graph.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    session = new_session(graph.SerializeToString())

    def run(image: Uint8Array) -> list[Any]:
        tensors = session.run(names, {INPUT: image})
        return [each[0].reshape(each.shape[1], -1).mean(axis=1) for each in tensors]

    with ThreadPoolExecutor(usable_cores().count) as pool:
        by_image = list(pool.map(run, images))
    return [np.mean(parts, axis=0, dtype=np.float64) for parts in zip(*by_image, strict=True)]

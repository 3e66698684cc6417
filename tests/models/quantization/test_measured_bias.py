"""Biases measured layer by layer give each layer the float model's mean output."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from app.model.runtime import new_session
from models.export.exported import read_exported
from models.export.graph import build_graph
from models.export.post_training_graph import PostTrainingWriter
from models.quantization.calibration import observe
from models.quantization.measured_bias import measure_bias
from models.quantization.methods import METHODS, calibrate
from models.recipes.integers import CalibratedNumbers, bias_steps, integer_form
from tests.exports import export_random


def mean_output(graph: onnx.ModelProto, name: str, images: list[np.ndarray]) -> np.ndarray:
    graph.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = new_session(graph.SerializeToString())
    found = [session.run([name], {"image": image})[0] for image in images]
    return np.asarray(np.mean([each.mean(axis=(0, 2, 3)) for each in found], axis=0))


def test_a_layer_deep_in_the_network_has_the_mean_output_of_the_float_model(tmp_path: Path) -> None:
    path = export_random(tmp_path, "mobilenet_v1", 0.1, 96)
    model = read_exported(path)
    random = np.random.default_rng(2)
    images = [random.integers(0, 256, (1, 96, 96, 3), np.uint8) for _ in range(4)]
    method = next(one for one in METHODS if one.name == "corrected")  # without factors
    before = calibrate(model, observe(path, model.network, images), method)
    done: list[None] = []
    after = measure_bias(model, path, before, images, lambda: done.append(None))
    assert len(done) == len(before.layers)

    name = "Conv2d_10_pointwise"
    wanted = mean_output(onnx.load(path), f"{name}.linear", images)

    def off(numbers: CalibratedNumbers) -> float:
        integers = integer_form(model.network, model.checkpoint.layers, numbers)
        graph = build_graph(model.network, PostTrainingWriter(integers), model.background)
        return float(np.abs(mean_output(graph, f"{name}.float", images) - wanted).max())

    [source] = [node.inputs[0] for node in model.network.nodes if node.name == name]
    step = bias_steps(after.activations[source], after.layers[name].scales).max()
    assert off(after) < step  # corrections are whole steps
    assert off(before) > 10 * off(after)

"""Helpers for `mobilenet-gateway models ...`."""

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from tests.app.cli_runner import run

Capture = pytest.CaptureFixture[str]
DEFAULT = "mobilenet_v2_1.0_224"
FLOAT_V1 = "mobilenet_v1_0.25_128"


def data(capsys: Capture, *arguments: str) -> Any:
    outcome = run(capsys, "models", *arguments, "--json")
    assert outcome.status == 0, outcome.err
    return json.loads(outcome.out)


def small_graph(path: Path) -> Path:
    """A classifier of another project: one 3x3 convolution at a fixed size, no card."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [8, 3, 3, 3], [0.0] * 216)
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 32, 32])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 32, 32])]
    graph = helper.make_graph([node], "g", inputs, outputs, [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, path)
    return path

"""ONNX files with integer ends, shapes that are worked out, and answers that are all alike."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from app.model.runtime import new_session
from models.importing.dialogue.missing import Missing
from models.importing.dialogue.options import Choices
from models.importing.import_onnx import adopt
from tests.models.graph_builder import GraphBuilder
from tests.models.importing.exported import KERAS, run, write_labels
from tests.models.importing.graphs import saved, small
from tests.models.importing.inputs import images

PIXELS = images(2, 96)[:, :32, :32]
ZEROS: dict[int, Any] = {TensorProto.INT8: np.int8(-128), TensorProto.UINT8: np.uint8(0)}


def integer_ends(element: int, end: str, scale: float = 1 / 255) -> onnx.ModelProto:
    builder = GraphBuilder([1, 3, 32, 32], element)
    random = np.random.default_rng(3)
    for name, values in (
        ("scale", np.float32(scale)),
        ("zero", ZEROS[element]),
        ("out_scale", np.float32(1 / 256 if end == "Softmax" else 0.1)),
        ("kernel", random.normal(0, 1, (8, 3, 3, 3)).astype(np.float32)),
        ("matrix", random.normal(0, 1, (8, 10)).astype(np.float32)),
    ):
        builder.constants.append(numpy_helper.from_array(np.asarray(values), name))
    builder.node("DequantizeLinear", ["x", "scale", "zero"], "floats")
    builder.node("Conv", ["floats", "kernel"], "conv", strides=[2, 2])
    builder.node("GlobalAveragePool", ["conv"], "pooled")
    builder.node("Flatten", ["pooled"], "flat")
    builder.node("MatMul", ["flat", "matrix"], "raw")
    builder.node(end, ["raw"], "scores")
    builder.node("QuantizeLinear", ["scores", "out_scale", "zero"], "out")
    return builder.model("out", element)


@pytest.mark.parametrize("element", ZEROS)
def test_integers_that_stand_for_no_pixels_need_a_scaling_or_a_yes(
    element: int, tmp_path: Path
) -> None:
    """0 ... 7.5, as after a calibration on noise: the floats are rounded to the file's integers."""
    path = saved(integer_ends(element, "Softmax", 7.5 / 255), tmp_path)
    labels = str(write_labels(tmp_path))
    with pytest.raises(Missing, match=r"ranges from 0 to 7\.5, which is no range of pixels"):
        adopt(path, Choices(labels=labels))
    lowest = int(ZEROS[element])
    stored = PIXELS.astype(np.int16) + lowest
    levels = np.round(PIXELS.astype(np.float32) / np.float32(7.5)) + lowest
    for fed, stated in ((stored, {"as_stored": True}), (levels, {"mean": (0.0,), "std": (1.0,)})):
        adoption = adopt(path, Choices(labels=labels, **stated))
        session = new_session(path)
        images = fed.astype(ZEROS[element].dtype).transpose(0, 3, 1, 2)
        raw = np.concatenate([session.run(None, {"x": one[None]})[0] for one in images])
        expected = (raw.astype(np.float32) - lowest) / 256
        assert abs(run(adoption.model, PIXELS)[0] - expected).max() < 0.006
        assert "onnxruntime" in [one.value for one in adoption.findings if one.what == "judged by"]


@pytest.mark.parametrize("end", ["Softmax", "Identity"])
@pytest.mark.parametrize("element", ZEROS)
def test_integers_at_both_ends_become_pixels_and_floats(
    element: int, end: str, tmp_path: Path
) -> None:
    path = saved(integer_ends(element, end), tmp_path)
    adoption = adopt(path, KERAS.choices(write_labels(tmp_path)))
    fed = PIXELS.astype(np.int16) + int(ZEROS[element])
    fed = fed.astype(ZEROS[element].dtype).transpose(0, 3, 1, 2)
    session = new_session(path)
    raw = np.concatenate([session.run(None, {"x": one[None]})[0] for one in fed])
    expected = raw.astype(np.float32) - np.float32(ZEROS[element])
    if end == "Softmax":
        expected /= 256
    else:
        powers = np.exp(expected * 0.1)
        expected = powers / powers.sum(axis=1, keepdims=True)
    assert (
        abs(run(adoption.model, PIXELS)[0] - expected).max() < 0.004
    )  # 255 of 256 is the most that the file gives
    found = {finding.what: finding.value for finding in adoption.findings}
    assert found["judged by"] == "onnxruntime"
    assert found["scaling"] == "none: it takes pixels"


def test_a_shape_that_is_worked_out_is_known_in_a_quantised_graph(tmp_path: Path) -> None:
    """As torch.onnx wrote `x.reshape(x.shape[0], -1)` before opset 13."""
    builder = GraphBuilder(["N", 3, 32, 32])
    whole = np.random.default_rng(1).integers(-99, 99, (8, 3, 3, 3)).astype(np.int8)
    for name, values in (
        ("stored", whole), ("scale", np.float32(0.01)), ("none", np.int8(0)),
        ("first", np.int64(0)), ("rest", np.array([-1], np.int64)),
    ):  # fmt: skip
        builder.constants.append(numpy_helper.from_array(np.asarray(values), name))
    builder.node("DequantizeLinear", ["stored", "scale", "none"], "kernel")
    builder.node("Conv", ["x", "kernel"], "conv", strides=[2, 2])
    builder.node("GlobalAveragePool", ["conv"], "pooled")
    builder.node("Shape", ["pooled"], "shape")
    builder.node("Gather", ["shape", "first"], "batch", axis=0)
    builder.node("Unsqueeze", ["batch"], "batches", axes=[0])
    builder.node("Concat", ["batches", "rest"], "target", axis=0)
    builder.node("Reshape", ["pooled", "target"], "flat")
    builder.node("MatMul", ["flat", builder.const("matrix", 8, 10)], "scores")
    model = builder.model("scores")
    model.opset_import[0].version = 12
    adoption = adopt(saved(model, tmp_path), KERAS.choices(write_labels(tmp_path)))
    assert (adoption.card.precision, adoption.card.cost.params) == ("int8", 8 * 3 * 9 + 80)


def test_a_graph_that_answers_alike_to_all_is_adopted_with_a_warning(tmp_path: Path) -> None:
    builder = small()
    model = builder.model("scores")
    [matrix] = [one for one in model.graph.initializer if one.name == "matrix"]
    matrix.CopyFrom(numpy_helper.from_array(np.zeros((8, 10), np.float32), "matrix"))
    adoption = adopt(saved(model, tmp_path), KERAS.choices(write_labels(tmp_path)))
    warning = next(one.value for one in adoption.findings if one.what == "warning")
    assert warning == "3 different images get the same answer: is it trained?"

"""ONNX files of 16-bit floats are adopted with the answers that onnxruntime gives for them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from app.model.runtime import new_session
from models.importing.checks import Refused
from models.importing.import_onnx import adopt
from models.importing.judges.onnxruntime import OnnxJudge
from tests.models.importing.exported import TORCH, run, write_labels
from tests.models.importing.graphs import small
from tests.models.importing.inputs import images

HALF = TensorProto.FLOAT16


def halved(model: onnx.ModelProto, keep_ends: bool) -> onnx.ModelProto:
    """A float32 graph as converters to 16 bits write it, with float32 ends or without."""
    graph = model.graph
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    del graph.value_info[:]
    [image], [scores] = graph.input, graph.output
    if not keep_ends:
        for value in (image, scores):
            value.type.tensor_type.elem_type = HALF
        return model
    for node in graph.node:
        node.input[:] = ["image_half" if name == image.name else name for name in node.input]
        node.output[:] = ["scores_half" if name == scores.name else name for name in node.output]
    first = onnx.helper.make_node("Cast", [image.name], ["image_half"], to=HALF)
    last = onnx.helper.make_node("Cast", ["scores_half"], [scores.name], to=TensorProto.FLOAT)
    nodes = [first, *graph.node, last]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def shallow(path: Path) -> Path:
    """Few layers: with random weights, rounding to 16 bits grows from layer to layer."""
    model = small(end="Softmax").model("out")
    random = np.random.default_rng(3)
    for tensor in model.graph.initializer:
        values = random.normal(0, 0.5, tuple(tensor.dims)).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    model.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("out", 1, [1, 10]))
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(("deep", "keep_ends"), [(True, True), (False, True), (False, False)])
def test_sixteen_bits_become_thirty_two(deep: bool, keep_ends: bool, tmp_path: Path) -> None:
    path = TORCH.unpack(tmp_path) if deep else shallow(tmp_path / "shallow.onnx")
    onnx.save(halved(onnx.load(path), keep_ends), path)
    choices = TORCH.choices(write_labels(tmp_path))
    adoption = adopt(path, choices)
    pixels = images() if deep else images()[:, :32, :32]
    probabilities, _ = run(adoption.model, pixels)
    session = new_session(path)
    [entry] = session.get_inputs()
    fed = TORCH.fed(pixels).astype(np.float32 if keep_ends else np.float16)
    rows = [session.run(None, {entry.name: one[None]})[0] for one in fed]
    scores = np.concatenate(rows).astype(np.float64)
    if deep:
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores = powers / powers.sum(axis=1, keepdims=True)
    assert abs(probabilities - scores).max() < 2e-3
    assert adoption.card.precision == "fp32"
    judged = {one.what: one.value for one in adoption.findings}["judged by"]
    assert judged == "onnxruntime"
    assert not any(tensor.data_type == HALF for tensor in adoption.model.graph.initializer)


@pytest.mark.parametrize("output", [None, "nowhere", "out"])
def test_the_judge_reads_the_output_with_the_scores(output: str | None, tmp_path: Path) -> None:
    model = halved(onnx.load(shallow(tmp_path / "two.onnx")), True)
    model.graph.output.append(onnx.helper.make_tensor_value_info("scores", HALF, [1, 10]))
    onnx.save(model, path := tmp_path / "two.onnx")
    choices = replace(TORCH.choices(write_labels(tmp_path)), output=output)
    if output == "out":
        found = {one.what: one.value for one in adopt(path, choices).findings}
        assert (found["scores"], found["judged by"]) == ("out: probabilities", "onnxruntime")
        return
    with pytest.raises(Refused, match="--output: the model has 2" if output is None else "Unknown"):
        adopt(path, choices)


def test_two_inputs_of_sixteen_bits_are_rejected_by_their_names(tmp_path: Path) -> None:
    model = halved(onnx.load(shallow(tmp_path / "two.onnx")), True)
    model.graph.input.append(onnx.helper.make_tensor_value_info("more", HALF, [1, 10]))
    onnx.save(model, path := tmp_path / "two.onnx")
    with pytest.raises(Refused, match="exactly one input"):
        adopt(path, TORCH.choices(write_labels(tmp_path)))


def test_an_answer_that_differs_is_not_adopted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = TORCH.unpack(tmp_path)
    onnx.save(halved(onnx.load(path), True), path)
    real = OnnxJudge.scores
    monkeypatch.setattr(OnnxJudge, "scores", lambda self, fed: real(self, fed)[:, ::-1])
    with pytest.raises(
        Refused, match=r"off what onnxruntime answers, so it is not adopted\. .* in float32: "
    ):
        adopt(path, TORCH.choices(write_labels(tmp_path)))

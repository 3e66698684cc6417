"""An imported float graph can be quantised, if it is the family's in another exporter's words."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from app.model.model import load_model
from app.model.runtime import new_session
from models.export.export import write_model
from models.export.exported import NotExportedError
from models.importing.import_onnx import adopt
from models.importing.weights.rebuild import float_form
from models.network.cost import network_cost
from tests.app.cli_runner import run
from tests.models.importing.exported import EXPORTS, KERAS, TORCH, Export, write_labels
from tests.models.importing.inputs import LABELS, images

Capture = pytest.CaptureFixture[str]


def imported(export: Export, store: Path) -> Path:
    """The store's file of a model as it comes from an exporter."""
    adoption = adopt(export.unpack(store), export.choices(write_labels(store)), "foreign")
    return write_model(adoption.model, store / "foreign.onnx")


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.name)
def test_the_layers_of_an_imported_graph_are_identified_by_their_order(
    export: Export, tmp_path: Path
) -> None:
    path = imported(export, tmp_path)
    with float_form(path) as (found, file):
        assert file != path
        answers = new_session(file).run(["probabilities"], {"image": images()})[0]
    assert abs(answers - export.recorded()).max() < 1e-4
    assert not file.exists()
    assert found.card == load_model(path).card
    assert network_cost(found.network).madds == found.card.cost.madds
    assert not found.background


@pytest.mark.parametrize("export", [TORCH, KERAS], ids=lambda export: export.name)
def test_reversed_channels_stay_reversed(export: Export, tmp_path: Path) -> None:
    choices = export.choices(write_labels(tmp_path), bgr=True)
    adoption = adopt(export.unpack(tmp_path), choices, "foreign")
    with float_form(write_model(adoption.model, tmp_path / "foreign.onnx")) as (_, file):
        answers = new_session(file).run(["probabilities"], {"image": images()})[0]
    fed = export.fed(images())
    reversed_ = fed[..., ::-1] if export.nhwc else fed[:, ::-1]
    session = new_session(tmp_path / f"{export.name}.onnx")
    [entry] = session.get_inputs()
    rows = [session.run(None, {entry.name: one[None].copy()})[0] for one in reversed_]
    scores = np.concatenate(rows)
    expected = scores if export.nhwc else np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    assert abs(answers - expected).max() < 1e-4


def test_an_imported_graph_becomes_int8(capsys: Capture, tmp_path: Path) -> None:
    path, photos = imported(KERAS, tmp_path), tmp_path / "photos"
    photos.mkdir()
    for index, pixels in enumerate(images(8)):
        Image.fromarray(pixels).save(photos / f"{index}.png")
    outcome = run(
        capsys, "models", "quantize", "foreign", "--calibration", str(photos), "--images", "8",
        "--method", "per_channel", "--store", str(tmp_path), "--json",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    told = json.loads(outcome.out)
    made, before = load_model(tmp_path / "foreign_ptq.onnx"), load_model(path)
    assert (made.card.precision, made.card.labels) == ("int8", LABELS)
    assert made.card.resolutions == before.card.resolutions
    assert told["file_bytes"] < path.stat().st_size
    difference = abs(made.probabilities(images()) - before.probabilities(images())).max()
    assert 0 < difference < 0.3  # eight channels in 8 bits


def other_activation(model: onnx.ModelProto) -> None:
    next(node for node in model.graph.node if node.op_type == "Clip").op_type = "Relu"
    first = next(node for node in model.graph.node if node.op_type == "Relu")
    del first.input[1:]


def other_order(model: onnx.ModelProto) -> None:
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    first = convolutions[0]
    del convolutions[1].input[1:]
    convolutions[1].input.extend(first.input[1:])


def other_answers(model: onnx.ModelProto) -> None:
    """A residual sum that becomes a product."""
    next(node for node in model.graph.node if node.op_type == "Add").op_type = "Mul"


def other_padding(model: onnx.ModelProto) -> None:
    first = next(node for node in model.graph.node if node.op_type == "Conv")
    [pads] = [item for item in first.attribute if item.name == "pads"]
    pads.ints[:] = [1, 0, 1, 0]


def own_scaling(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        node.input[:] = [name.replace("gateway_centred", "foreign") for name in node.input]
        node.output[:] = [name.replace("gateway_centred", "foreign") for name in node.output]
    for tensor in model.graph.initializer:
        tensor.name = tensor.name.replace("gateway_centred", "foreign")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (other_activation, "it has 34 ReLU6, not 35"),
        (other_order, "its layers are not in the order of mobilenet_v2"),
        (other_answers, r"rebuilt from the family, its outputs differ by \S+"),
        (other_padding, r"its first layer pads \[1, 0, 1, 0\]"),
        (own_scaling, "it scales pixels in its own way"),
    ],
)
def test_a_graph_that_is_not_quite_the_familys_is_rejected_with_a_way_out(
    change: Callable[[onnx.ModelProto], None], reason: str, tmp_path: Path
) -> None:
    path = imported(TORCH, tmp_path)
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)
    wanted = rf"the layers of foreign cannot be recognised \({reason}\); import the weights"
    with pytest.raises(NotExportedError, match=wanted), float_form(path):
        pass

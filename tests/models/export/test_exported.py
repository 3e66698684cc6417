"""A float file of this project can be taken apart into the network and weights that made it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from app.card.card import Family
from app.model.runtime import new_session
from models.export.export import export, untrained, write_model
from models.export.exported import NotExportedError, read_exported
from models.export.graph import FloatWriter, build_graph
from models.files.onnx_file import OnnxFileError
from models.importing.import_onnx import adopt
from models.network.cost import network_cost
from tests.exports import export_random, random_recipe
from tests.models.importing.exported import TORCH as TORCH_EXPORT
from tests.models.importing.exported import write_labels
from tests.models.importing.finetuned import TORCH, adopted, unpack


@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize("family", ["mobilenet_v1", "mobilenet_v2"])
def test_what_was_exported_comes_back(family: Family, padding: str, tmp_path: Path) -> None:
    recipe = replace(random_recipe(family, 0.35, 96), padding=padding)  # type: ignore[arg-type]  # a text of two
    checkpoint = untrained(recipe.network())
    path = export(recipe, checkpoint, "fp32", tmp_path)
    found = read_exported(path)
    wanted = recipe.network()
    assert [(node.name, node.inputs) for node in found.network.nodes] == [
        (node.name, node.inputs) for node in wanted.nodes
    ]
    assert network_cost(found.network) == network_cost(wanted)
    assert found.background == recipe.background
    first, *others = checkpoint.layers
    for name in others:
        assert np.array_equal(found.checkpoint.layers[name].kernel, checkpoint.layers[name].kernel)
    again = build_graph(
        found.network, FloatWriter(found.checkpoint, found.scaling), found.background
    )
    image = np.random.default_rng(0).integers(0, 256, (1, 128, 128, 3), np.uint8)
    answers = [
        new_session(model).run(["probabilities", "embedding"], {"image": image})
        for model in (path, again.SerializeToString())
    ]
    for before, after in zip(*answers, strict=True):
        assert np.allclose(before, after, rtol=1e-4, atol=1e-6), first


def test_own_weights_that_were_imported_come_back(tmp_path: Path) -> None:
    adoption = adopted(unpack(TORCH, tmp_path))
    found = read_exported(write_model(adoption.model, tmp_path / "own.onnx"))
    assert found.card == adoption.card
    assert network_cost(found.network) == adoption.card.cost


def test_an_imported_graph_is_rejected_with_a_way_out(tmp_path: Path) -> None:
    adoption = adopt(
        TORCH_EXPORT.unpack(tmp_path), TORCH_EXPORT.choices(write_labels(tmp_path)), "foreign"
    )
    path = write_model(adoption.model, tmp_path / "foreign.onnx")
    with pytest.raises(NotExportedError, match=r"layers of foreign cannot .*; import the weights"):
        read_exported(path)


def test_a_file_that_is_no_float_export_is_rejected(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"junk")
    with pytest.raises(OnnxFileError, match="is not an ONNX file"):
        read_exported(broken)
    path = export_random(tmp_path, "mobilenet_v2", 0.1, 96)
    model = onnx.load(path)
    foreign = onnx.helper.make_node("Sigmoid", ["embedding"], ["more"])
    model.graph.node.append(foreign)
    onnx.save(model, path)
    with pytest.raises(NotExportedError, match="has the operator Sigmoid"):
        read_exported(path)
    del model.metadata_props[:]
    onnx.save(model, path)
    with pytest.raises(NotExportedError, match="no model card"):
        read_exported(path)

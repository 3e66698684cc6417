"""What is no ONNX file is said so, by whoever reads it."""

from pathlib import Path

import onnx
import pytest
from onnx import FunctionProto, NodeProto, helper

from models.export.export import read_metadata
from models.files.onnx_file import MAX_DEPTH, OnnxFileError, read_model
from models.importing.checks import Refused, admit
from models.onnx_cost.graph_cost import graph_cost
from tests.models.graph_builder import GraphBuilder


@pytest.mark.parametrize("read", [read_model, read_metadata, graph_cost])
def test_a_file_that_is_no_onnx_is_named_with_the_reason(read: object, tmp_path: Path) -> None:
    assert callable(read)
    path = tmp_path / "photo.onnx"
    with pytest.raises(OnnxFileError, match=r"photo\.onnx is not a file"):
        read(path)
    for content in (b"", b"\xff\xd8\xff\xe0 a photo", b"PK\x03\x04"):
        path.write_bytes(content)
        with pytest.raises(OnnxFileError, match=r"photo\.onnx is not an ONNX file or is damaged"):
            read(path)


OWN = "own"


def call(name: str, source: str, output: str) -> NodeProto:
    return helper.make_node(name, [source], [output], domain=OWN)


def function(name: str, *nodes: NodeProto) -> FunctionProto:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(OWN, 1)]
    return helper.make_function(OWN, name, ["a"], ["b"], list(nodes), opsets)


def saved(
    folder: Path, called: str, functions: list[FunctionProto], *, branch: bool = False
) -> Path:
    """A small classifier that calls one of its functions, at once or in a branch."""
    builder = GraphBuilder([1, 3, 8, 8])
    builder.node("GlobalAveragePool", ["x"], "pooled")
    builder.node("Flatten", ["pooled"], "flat")
    builder.node("MatMul", ["flat", builder.const("w", 3, 5)], "scores")
    builder.nodes.append(call(called, "scores", "out"))
    if branch:
        value = helper.make_tensor_value_info("inner", 1, [1, 5])
        inner = helper.make_graph([call(called, "scores", "inner")], "inner", [], [value])
        yes = builder.const("yes", dtype=bool)
        builder.nodes[-1] = helper.make_node(
            "If", [yes], ["out"], then_branch=inner, else_branch=inner
        )
    model = builder.model("out")
    model.functions.extend(functions)
    model.opset_import.append(helper.make_opsetid(OWN, 1))
    path = folder / "own.onnx"
    onnx.save(model, path)
    return path


def doubling(levels: int) -> list[FunctionProto]:
    """Each calls the one before twice."""
    steps = [
        function(f"f{at}", call(f"f{at - 1}", "a", "t"), call(f"f{at - 1}", "t", "b"))
        for at in range(1, levels)
    ]
    return [function("f0", helper.make_node("Relu", ["a"], ["b"])), *steps]


def chain(levels: int) -> list[FunctionProto]:
    """Each calls the one before; the first one the last, and they stand in no order."""
    return [function(f"f{at}", call(f"f{(at - 1) % levels}", "a", "b")) for at in range(levels)]


@pytest.mark.parametrize("branch", [False, True], ids=["at once", "in a branch"])
def test_functions_that_stand_for_millions_of_nodes_are_rejected_before_they_are_written_out(
    branch: bool, tmp_path: Path
) -> None:
    path = saved(tmp_path, "f25", doubling(26), branch=branch)
    with pytest.raises(OnnxFileError, match=r"has (3\.36|6\.71)e\+07 nodes after its functions"):
        graph_cost(path)
    with pytest.raises(Refused, match="the maximum is 50000"):
        admit(path)


@pytest.mark.parametrize("levels", [1, 2, 3 * MAX_DEPTH])
def test_functions_that_call_themselves_are_rejected(levels: int, tmp_path: Path) -> None:
    with pytest.raises(OnnxFileError, match=r"own\.onnx: functions call each other in a circle"):
        read_model(saved(tmp_path, "f0", chain(levels)))


def test_functions_may_call_each_other(tmp_path: Path) -> None:
    model = admit(saved(tmp_path, "f5", doubling(6)))
    assert [node.op_type for node in model.graph.node].count("Relu") == 32
    assert not model.functions

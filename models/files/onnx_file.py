"""Reading an ONNX file, or a plain word on why it cannot be read."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx
from onnx import NodeProto

from app.errors import first_line

MAX_BYTES = 2**31 - 1  # protobuf's own limit for a message
# The largest classifiers have some thousand nodes, and exporters nest functions a few deep.
MAX_NODES = 50_000
MAX_DEPTH = 100

FunctionKey = tuple[str, str, str]  # domain, name, overload


class OnnxFileError(ValueError):
    """A file is not a readable ONNX model; the text names it and says why."""


def read_model(path: Path, *, external_data: bool = True) -> onnx.ModelProto:
    """The model in a file; `external_data` reads weights that lie in files beside it as well.

    Raises:
        OnnxFileError: no such file, too large, not ONNX, damaged, its weights are missing, or its
            functions stand for more nodes than a classifier has.
    """
    if not path.is_file():
        raise OnnxFileError(f"{path} is not a file")
    if path.stat().st_size > MAX_BYTES:
        raise OnnxFileError(f"{path} is larger than 2 GB, more than an ONNX file can be")
    try:
        model = onnx.load(path, load_external_data=external_data)
    except Exception as error:  # protobuf's decode errors have no common class
        raise OnnxFileError(
            f"{path} is not an ONNX file, or a damaged one: {first_line(error)}"
        ) from error
    if not model.graph.node or not model.opset_import:  # protobuf reads nearly anything
        raise OnnxFileError(f"{path} is not an ONNX file, or a damaged one: it has no graph")
    _check_size(model, path)
    return model


def _check_size(model: onnx.ModelProto, path: Path) -> None:
    """Refuse a graph that is too large once its local functions are written out.

    A few that call each other twice stand for millions of nodes, and nobody who reads the graph
    after this (inlining, shape inference) counts them first.
    """
    functions = {(one.domain, one.name, one.overload): one for one in model.functions}
    written: dict[FunctionKey, tuple[int, int]] = {}

    def size(nodes: Iterable[NodeProto], above: int) -> tuple[int, int]:
        """How many nodes they stand for, and how deep functions are nested in them."""
        total = deepest = 0
        for node in _with_branches(nodes):
            count, depth = 1, 0
            key = (node.domain, node.op_type, node.overload)
            if key in functions:
                if key not in written and above < MAX_DEPTH:
                    written[key] = size(functions[key].node, above + 1)
                count, depth = written.get(key, (0, MAX_DEPTH))
            total, deepest = total + count, max(deepest, depth + 1)
        if above + deepest > MAX_DEPTH:
            raise OnnxFileError(
                f"{path}: its functions call each other in a circle, or over {MAX_DEPTH} deep"
            )
        return total, deepest

    count, _ = size(model.graph.node, 0)
    if count > MAX_NODES:
        raise OnnxFileError(
            f"{path}: its graph has {count:.3g} nodes with its functions written out, more than "
            f"{MAX_NODES}"
        )


def _with_branches(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """Nodes, and those of the graphs among their attributes."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _with_branches(graph.node)

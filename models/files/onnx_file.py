"""Reading ONNX files, with a plain error for unreadable ones."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx
from onnx import NodeProto

from app.errors import first_line

MAX_BYTES = 2**31 - 1  # protobuf's own limit for a message
# The largest classifiers have a few thousand nodes, and exporters nest functions a few levels deep.
MAX_NODES = 50_000
MAX_DEPTH = 100

FunctionKey = tuple[str, str, str]  # domain, name, overload


class OnnxFileError(ValueError):
    """A file is not a readable ONNX model; the message names it and says why."""


def read_model(path: Path, *, external_data: bool = True) -> onnx.ModelProto:
    """Read the model in a file; `external_data` includes weights in separate files next to it.

    Raises:
        OnnxFileError: the file is missing, too large, not ONNX or damaged, its weights are missing,
            or it expands to more nodes than any classifier has.
    """
    if not path.is_file():
        raise OnnxFileError(f"{path} is not a file.")
    if path.stat().st_size > MAX_BYTES:
        raise OnnxFileError(f"{path} is larger than 2 GB, the maximum of an ONNX file.")
    try:
        model = onnx.load(path, load_external_data=external_data)
    except Exception as error:  # protobuf's decode errors have no common class
        raise OnnxFileError(
            f"{path} is not an ONNX file or is damaged: {first_line(error)}"
        ) from error
    if not model.graph.node or not model.opset_import:  # protobuf accepts nearly anything
        raise OnnxFileError(f"{path} is not an ONNX file or is damaged: it has no graph.")
    _check_size(model, path)
    return model


def _check_size(model: onnx.ModelProto, path: Path) -> None:
    """Check the size of a graph after its local functions are expanded.

    A few functions that call each other twice expand to millions of nodes, and inlining and shape
    inference have no limit of their own.
    """
    functions = {(each.domain, each.name, each.overload): each for each in model.functions}
    sizes: dict[FunctionKey, tuple[int, int]] = {}

    def size(nodes: Iterable[NodeProto], above: int) -> tuple[int, int]:
        """Number of nodes after expansion, and depth of nested functions."""
        total = deepest = 0
        for node in _with_branches(nodes):
            count, depth = 1, 0
            key = (node.domain, node.op_type, node.overload)
            if key in functions:
                if key not in sizes and above < MAX_DEPTH:
                    sizes[key] = size(functions[key].node, above + 1)
                count, depth = sizes.get(key, (0, MAX_DEPTH))
            total, deepest = total + count, max(deepest, depth + 1)
        if above + deepest > MAX_DEPTH:
            raise OnnxFileError(
                f"{path}: functions call each other in a circle, or more than {MAX_DEPTH} levels "
                "deep."
            )
        return total, deepest

    count, _ = size(model.graph.node, 0)
    if count > MAX_NODES:
        raise OnnxFileError(
            f"{path}: the graph has {count:.3g} nodes after its functions are expanded; the "
            f"maximum is {MAX_NODES}."
        )


def _with_branches(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """Nodes, including those of graphs in their attributes."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _with_branches(graph.node)

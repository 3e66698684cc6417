"""Ways back through a graph: from a value to what it was made of."""

from collections.abc import Iterator

import onnx
from onnx import NodeProto

from models.onnx_cost.graph_cost import CONVOLUTIONS, MATRICES, constants

# What hands values on, at most in another order, shape or number format.
PASSING = {
    "Cast", "DequantizeLinear", "Dropout", "Flatten", "Identity", "QuantizeLinear", "Reshape",
    "Squeeze", "Transpose", "Unsqueeze",
}  # fmt: skip
# where the weights are among the inputs
KERNELS = {op: at for op, (at, _) in (CONVOLUTIONS | MATRICES).items()} | {"QGemm": 3}


class Trail:
    """A graph that is read from its outputs."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.makers = {name: node for node in graph.node for name in node.output if name}
        self.constants = constants(graph)

    def maker_behind(self, value: str, passing: set[str] = PASSING) -> NodeProto | None:
        """The first node back that does more than to hand its input on."""
        node = self.makers.get(value)
        while node is not None and node.op_type in passing:
            node = self.makers.get(node.input[0])
        return node

    def last_weighted(self, value: str) -> NodeProto | None:
        """The nearest convolution or matrix product with constant weights before a value."""
        for node in self._back(value):
            at = KERNELS.get(node.op_type)
            if at is not None and node.input[at] in self.constants:
                return node
        return None

    def _back(self, value: str) -> Iterator[NodeProto]:
        """Nodes in front of a value, near ones first."""
        seen, queue = {value}, [value]
        while queue:
            node = self.makers.get(queue.pop(0))
            if node is None:
                continue
            yield node
            for name in node.input:
                if name and name not in seen | self.constants:
                    seen.add(name)
                    queue.append(name)

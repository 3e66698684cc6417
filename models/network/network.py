"""The definition of a network: named layers with the names of their inputs, in running order."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from app.card import card
from app.card.card import Family
from models.network.layers import GlobalPool, Layer, LayerError, Linear, Shape

INPUT = card.INPUT  # the name is the same in the exported graph


@dataclass(frozen=True, slots=True)
class Node:
    name: str
    layer: Layer
    inputs: tuple[str, ...]  # names


@dataclass(frozen=True, slots=True)
class Step:
    node: Node
    input_shapes: tuple[Shape, ...]
    output_shape: Shape


@dataclass(slots=True)
class Network:
    """A directed graph in topological order whose input is one image of `input_shape`."""

    family: Family
    alpha: float | None
    input_shape: Shape
    nodes: list[Node] = field(default_factory=list)

    def add(self, name: str, layer: Layer, *inputs: str) -> str:
        """Append a layer that reads `inputs`, by default the last layer; return its name.

        Raises:
            LayerError: the name exists already, or an input does not exist yet.
        """
        existing = {INPUT, *(node.name for node in self.nodes)}
        if name in existing:
            raise LayerError(f"Layer {name!r} exists already.")
        sources = inputs or (self.last,)
        for source in sources:
            if source not in existing:
                raise LayerError(f"Layer {name!r} reads {source!r}, which does not exist yet.")
        self.nodes.append(Node(name, layer, sources))
        return name

    def add_classifier(self, classes: int) -> "Network":
        """Append the pooling and the linear layer that most networks end in; return the network."""
        self.add("pool", GlobalPool())
        self.add("classifier", Linear(classes))
        return self

    @property
    def last(self) -> str:
        return self.nodes[-1].name if self.nodes else INPUT

    def steps(self) -> Iterator[Step]:
        """Walk the layers in order with their shapes."""
        shapes = {INPUT: self.input_shape}
        for node in self.nodes:
            inputs = tuple(shapes[name] for name in node.inputs)
            shapes[node.name] = node.layer.output_shape(*inputs)
            yield Step(node, inputs, shapes[node.name])

    def shape_of(self, name: str) -> Shape:
        """Output shape of the named layer; `image` is the input.

        Raises:
            LayerError: the layer does not exist.
        """
        if name == INPUT:
            return self.input_shape
        for step in self.steps():
            if step.node.name == name:
                return step.output_shape
        raise LayerError(f"Unknown layer {name!r}.")

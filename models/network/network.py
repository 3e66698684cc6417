"""A network: named layers, each with the names of what feeds it, in the order they run."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from app.card import card
from app.card.card import Family
from models.network.layers import Layer, LayerError, Shape

INPUT = card.INPUT  # which the exported graph keeps


@dataclass(frozen=True, slots=True)
class Node:
    """One layer in its place."""

    name: str
    layer: Layer
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """A node with the shapes that reach and leave it."""

    node: Node
    input_shapes: tuple[Shape, ...]
    output_shape: Shape


@dataclass(slots=True)
class Network:
    """A directed graph in topological order, fed by one image of `input_shape`."""

    family: Family
    alpha: float | None
    input_shape: Shape
    nodes: list[Node] = field(default_factory=list)

    def add(self, name: str, layer: Layer, *inputs: str) -> str:
        """Append a layer, fed by `inputs` or else by the last one; return its name.

        Raises:
            LayerError: the name is taken, or an input is not there yet.
        """
        taken = {INPUT, *(node.name for node in self.nodes)}
        if name in taken:
            raise LayerError(f"two layers are called {name!r}")
        sources = inputs or (self.last,)
        for source in sources:
            if source not in taken:
                raise LayerError(f"{name!r} is fed by {source!r}, which is not there yet")
        self.nodes.append(Node(name, layer, sources))
        return name

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
        """Shape of what the named layer puts out; `image` is the input.

        Raises:
            LayerError: there is no such layer.
        """
        if name == INPUT:
            return self.input_shape
        for step in self.steps():
            if step.node.name == name:
                return step.output_shape
        raise LayerError(f"there is no layer {name!r}")

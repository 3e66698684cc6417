"""Write a network, its weights and its card as one self-describing ONNX file."""

from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import onnx

from app import __version__
from app.card.card import (
    CARD_KEY,
    CARD_VERSION,
    Accuracy,
    Cost,
    Family,
    ModelCard,
    Origin,
    Precision,
    PrecisionOrigin,
    Preprocessing,
    QuantizationReport,
    Resolutions,
)
from app.system.atomic_file import atomic_write
from models.checkpoints.checkpoint import Checkpoint, LayerWeights
from models.export import derived_weights
from models.export.channel_scales import with_channel_scales
from models.export.graph import FloatWriter, InputScaling, QuantizedWriter, build_graph
from models.export.post_training_graph import PostTrainingWriter
from models.export.self_test import put_self_test
from models.files.onnx_file import MAX_BYTES, read_model
from models.network import resolution as resolutions
from models.network.cost import network_cost, weight_file_bytes
from models.network.design import PAPER_DESIGN, Design, define
from models.network.layers import Conv, Linear, Padding
from models.network.network import Network

# Node, tensor and shape names of a file, measured on exports of this project: with them, the
# predicted size is at most 0.7 % off for any file of the family (the smallest int8 one).
GRAPH_BYTES_PER_LAYER: dict[Precision, int] = {"fp32": 250, "int8": 1000}
SCALE_BYTES_PER_CHANNEL = 9  # the scales of kernel and bias, and a zero point


POST_TRAINING = "ptq"  # in the name of a model quantised after training


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything about a checkpoint that its weights do not tell.

    `background` is True for 1001-class checkpoints whose class 0 means "none of the others":
    `probabilities` of the exported graph leave it out, so that class ids are ImageNet's for every
    model. `integer_weights` is True for a checkpoint that its publisher quantised: it is exported
    in int8, or in fp32 with dequantised weights. `channel_scales` exports its integers in the form
    of the fast kernels; without, they are exactly the publisher's. `post_training` is the report on
    its quantization if its int8 form is this project's.
    """

    family: Family
    alpha: float
    resolution: int
    variant: str | None
    padding: Padding
    scaling: InputScaling
    preprocessing: Preprocessing
    background: bool
    accuracy: Accuracy | None
    origin: Origin
    labels: tuple[str, ...]
    design: Design = PAPER_DESIGN
    integer_weights: bool = False
    channel_scales: bool = False
    post_training: QuantizationReport | None = None

    def network(self) -> Network:
        """The network at its trained resolution."""
        classes = len(self.labels) + self.background
        return define(self.family, self.alpha, self.resolution, classes, self.padding, self.design)

    def name(self, precision: Precision) -> str:
        """Family, alpha and trained resolution, and the variant and precision if not the usual."""
        parts = [f"{self.family}_{self.alpha!s}_{self.resolution}"]
        if self.variant:
            parts.append(self.variant)
        if precision == "int8":
            parts.append(POST_TRAINING if self.post_training else "int8")
        return "_".join(parts)

    def cost(self, precision: Precision) -> Cost:
        float_head = self.post_training is not None  # see PostTrainingWriter
        return network_cost(self.network(), precision, float_head=float_head)

    def card(self, precision: Precision) -> ModelCard:
        if precision == "int8" and self.post_training:
            return post_training_card(
                self.card("fp32"), self.name(precision), self.cost(precision), self.post_training
            )
        return ModelCard(
            card_version=CARD_VERSION,
            name=self.name(precision),
            family=self.family,
            alpha=self.alpha,
            resolution=self.resolution,
            resolutions=Resolutions(
                minimum=resolutions.MINIMUM, maximum=resolutions.MAXIMUM, step=resolutions.STEP
            ),
            channels=3,
            precision=precision,
            precision_origin=self._precision_origin(precision),
            labels=self.labels,
            background=0 if self.background else None,
            head_activation="softmax",
            preprocessing=self.preprocessing,
            accuracy=self.accuracy,
            origin=self.origin,
            base_sha256=None,
            cost=self.cost(precision),
            quantization=None,
            measured=(),
        )

    def _precision_origin(self, precision: Precision) -> PrecisionOrigin:
        if precision == "int8":
            return "publisher_int8_per_channel" if self.channel_scales else "publisher_int8"
        return "float_of_int8" if self.integer_weights else "float"


def post_training_card(
    card: ModelCard, name: str, cost: Cost, report: QuantizationReport
) -> ModelCard:
    """The card of a model quantised after training, from the float model's.

    It has no accuracy: the published one is the float model's.
    """
    changes = {
        "name": name,
        "precision": "int8",
        "precision_origin": "post_training_int8",
        "accuracy": None,
        "measured": (),
        "cost": cost,
        "quantization": report,
    }
    return ModelCard.model_validate(dict(card) | changes)


def export(recipe: Recipe, checkpoint: Checkpoint, precision: Precision, folder: Path) -> Path:
    """Write `<name>.onnx` into `folder`, whole or not at all; return its path.

    Raises:
        ValueError: see `build`.
        onnx.checker.ValidationError: the graph is not valid ONNX.
    """
    return write_checked(build(recipe, checkpoint, precision), recipe.card(precision), folder)


def build(recipe: Recipe, checkpoint: Checkpoint, precision: Precision) -> onnx.ModelProto:
    """The graph of a checkpoint, without a card.

    Raises:
        ValueError: `precision` is int8 and the checkpoint is not quantised, or the weights do not
            fit the network.
    """
    network = recipe.network()
    check_weights(network, checkpoint)
    if precision == "fp32":
        writer = FloatWriter(checkpoint, recipe.scaling)
        return build_graph(network, writer, recipe.background)
    if checkpoint.quantization is None:
        raise ValueError("this checkpoint is not quantised, so it has no int8 form")
    integers = checkpoint.quantization
    if recipe.channel_scales:
        integers = with_channel_scales(integers)
    writes = PostTrainingWriter if recipe.post_training else QuantizedWriter
    return build_graph(network, writes(integers), recipe.background)


def write_checked(
    model: onnx.ModelProto, card: ModelCard, folder: Path, self_test: str | None = None
) -> Path:
    """Put the card into the model, check the graph and write `<name>.onnx`; return its path.

    Raises:
        onnx.checker.ValidationError: the graph is not valid ONNX.
    """
    set_card(model, card)
    if self_test:
        put_self_test(model, self_test)
    onnx.checker.check_model(model, full_check=True)
    return write_model(model, folder / f"{card.name}.onnx")


def set_card(model: onnx.ModelProto, card: ModelCard, version: str = __version__) -> None:
    """Put the card and the version of what made it into the model."""
    model.producer_version = version
    onnx.helper.set_model_props(model, {CARD_KEY: card.model_dump_json()})


def replace_card(path: Path, card: ModelCard) -> None:
    """Replace the card in a file of the store, atomically; everything else stays unchanged.

    Raises:
        OnnxFileError: the file is not an ONNX file.
        OSError: the file cannot be written.
    """
    model = read_model(path)
    metadata = {item.key: item.value for item in model.metadata_props}
    onnx.helper.set_model_props(model, metadata | {CARD_KEY: card.model_dump_json()})
    write_model(model, path)


def predict_file_bytes(recipe: Recipe, precision: Precision) -> int:
    """Size in bytes of the file that `export` would write, within 1 %."""
    network = recipe.network()
    graph_bytes = GRAPH_BYTES_PER_LAYER[precision] * len(network.nodes)
    if precision == "int8" and (recipe.channel_scales or recipe.post_training):
        channels = sum(shape[0] for shape in kernel_shapes(network).values())
        graph_bytes += SCALE_BYTES_PER_CHANNEL * channels
    card_bytes = len(recipe.card(precision).model_dump_json().encode())
    return weight_file_bytes(network, precision) + graph_bytes + card_bytes


def check_size(recipe: Recipe, precision: Precision) -> None:
    """Check that the model fits an ONNX file, before its weights fill the memory.

    Raises:
        ValueError: the model is too wide.
    """
    if (size_bytes := predict_file_bytes(recipe, precision)) > MAX_BYTES:
        raise ValueError(
            f"alpha is {recipe.alpha:g}, which makes a file of {size_bytes / 1e9:.1f} GB; "
            "the maximum of an ONNX file is 2 GB"
        )


def check_weights(network: Network, checkpoint: Checkpoint) -> None:
    """Compare the names and shapes of the weights with the network.

    Raises:
        ValueError: a layer is missing, unknown or of another shape; the text names it.
    """
    wanted = kernel_shapes(network)
    if wrong := sorted(wanted.keys() ^ checkpoint.layers.keys()):
        raise ValueError(f"layers missing or unknown: {', '.join(wrong)}")
    for name, shape in wanted.items():
        layer = checkpoint.layers[name]
        for part, found, needed in (
            ("kernel", layer.kernel.shape, shape),
            ("bias", layer.bias.shape, shape[:1]),
        ):
            if found != needed:
                raise ValueError(f"{name}: the {part} is {found}, the network needs {needed}")


def kernel_shapes(network: Network) -> dict[str, tuple[int, int, int, int]]:
    """Kernel shape [out, in / groups, height, width] of every layer with weights."""
    shapes = {}
    for step in network.steps():
        channels, layer = step.input_shapes[0][0], step.node.layer
        if isinstance(layer, Conv | Linear):
            out = step.output_shape[0]
            shapes[step.node.name] = (out, channels // layer.groups, *layer.kernel)
    return shapes


def untrained(network: Network, seed: int = 0) -> Checkpoint:
    """Weights from `models.export.derived_weights`, the same every time; the biases are 0."""
    layers = {}
    for name, shape in kernel_shapes(network).items():
        kernel = derived_weights.kernel(name, shape, prod(shape[1:]), seed)
        layers[name] = LayerWeights(kernel, np.zeros(shape[0], np.float32))
    return Checkpoint(layers, None)


def read_metadata(path: Path) -> dict[str, str]:
    """`metadata_props` and `producer_version` of any ONNX file.

    Raises:
        OnnxFileError: it is not an ONNX file.
    """
    model = read_model(path, external_data=False)
    metadata = {item.key: item.value for item in model.metadata_props}
    return {**metadata, "producer_version": model.producer_version}


def write_model(model: onnx.ModelProto, path: Path) -> Path:
    """Write the file atomically, so that a killed export leaves no incomplete model.

    Raises:
        OSError: it cannot be written.
    """
    with atomic_write(path) as file:
        file.write(model.SerializeToString(deterministic=True))
    return path

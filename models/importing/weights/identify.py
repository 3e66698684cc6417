"""Which network a file of weights holds: no graph comes with weights, but their names and shapes.

torch       `.pth` and `.safetensors`, named as torchvision or timm names them
keras       `.h5`, `.weights.h5`, `.keras`
tflite      `.tflite`: a graph, which `models.importing.source` reads
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from app.card.card import Family
from models.checkpoints import stored_zip
from models.checkpoints.checkpoint import Array, Checkpoint, CheckpointError, template
from models.checkpoints.keras import keras_h5
from models.checkpoints.keras.hdf5 import KERAS_WEIGHTS
from models.checkpoints.tflite.graph import IDENTIFIER
from models.checkpoints.torch import safetensors, state_dict, timm, torchvision
from models.export.export import kernel_shapes
from models.importing.checks import Refused
from models.importing.files.foreign import refuse_foreign
from models.importing.recognize import ANY_SIZE, DESIGNS, WIDTHS
from models.network.design import PAPER_DESIGN, Design, define
from models.zoo.zoo import formats

Kind = Literal["torch", "keras", "tflite"]

HDF5_START = b"\x89HDF"
PICKLE_START = b"\x80"
SUFFIXES: dict[str, Kind] = {
    ".pth": "torch",
    ".pt": "torch",
    ".tar": "torch",
    ".ckpt": "torch",
    ".safetensors": "torch",
    ".h5": "keras",
    ".hdf5": "keras",
    ".keras": "keras",
    ".tflite": "tflite",
}
# An optimizer keeps two more values for each weight; MobileNetV2 1.4 has 6 million.
MAX_BYTES = 1 << 30


class Naming(NamedTuple):
    """How a library names the convolutions of one of its networks; `format` is the zoo's."""

    format: str
    family: Family
    design: Design
    convolutions: tuple[state_dict.Convolution, ...]

    @property
    def names(self) -> set[str]:
        return {one.conv for one in self.convolutions}


NAMINGS = (
    Naming("torchvision", "mobilenet_v2", PAPER_DESIGN, tuple(torchvision.convolutions())),
    *(
        Naming(form, family, design, tuple(timm.convolutions(family, design)))
        for family, design in DESIGNS
        for form in [f"timm_{family.removeprefix('mobilenet_')}"]
    ),
)


@dataclass(frozen=True, slots=True)
class IdentifiedWeights:
    """What was read, and which network that is; `format` is that of the zoo's table."""

    checkpoint: Checkpoint
    family: Family
    alpha: float
    design: Design
    format: str


def kind_of(path: Path) -> Kind | None:
    """What a file is by its first bytes, or else by its name; None for ONNX and anything else.

    Raises:
        Refused: there is no such file, or it is known to be something else than a model.
        OSError: it cannot be read.
    """
    refuse_foreign(path)
    if not path.is_file():
        raise Refused(f"{path} is not a file.")
    with path.open("rb") as file:
        start = file.read(safetensors.START_BYTES)
    named = SUFFIXES.get(path.suffix.lower())
    if start.startswith(stored_zip.START):
        return "keras" if named == "keras" or stored_zip.holds(path, KERAS_WEIGHTS) else "torch"
    if safetensors.is_start(start) or start.startswith(PICKLE_START):
        return "torch"
    if start.startswith(HDF5_START):
        return "keras"
    return "tflite" if start[4:8] == IDENTIFIER else named


def identify(path: Path, kind: Kind) -> IdentifiedWeights:
    """Read a file of weights and tell the network.

    Raises:
        Refused: it cannot be read, or is not of the family.
    """
    read = _torch if kind == "torch" else _keras
    if path.stat().st_size > MAX_BYTES:
        raise Refused(f"{path} is larger than 1 GB, which no MobileNet is.")
    try:
        return read(path)
    except CheckpointError as error:
        raise Refused(str(error)) from error


def _torch(path: Path) -> IdentifiedWeights:
    tensors = state_dict.read_tensors(path)
    naming, eps = naming_of(path, tensors)
    network = template(naming.family, naming.design)
    classifier = _classifier(path, tensors)
    checkpoint = state_dict.read_layers(path, network, naming.convolutions, classifier, eps)
    return network_of(path, checkpoint, naming.family, naming.design, naming.format)


def naming_of(path: Path, tensors: Mapping[str, Array]) -> tuple[Naming, float]:
    """How the convolutions of a state dict are named, and the epsilon of their batch norm.

    Raises:
        CheckpointError: not as those of a network that is known here.
    """
    stored = {name.removesuffix(".weight") for name, values in tensors.items() if values.ndim == 4}
    naming = min(NAMINGS, key=lambda one: len(stored ^ one.names))
    if others := sorted(stored ^ naming.names):
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        raise CheckpointError(
            f"{path.name}: not a MobileNetV1 or V2 as torchvision or timm name them "
            f"({', '.join(others[:3])}{more}); import another network as ONNX (torch.onnx.export)"
        )
    eps = formats()[naming.format].batch_norm_epsilon
    assert eps is not None  # noqa: S101  the table has it for torch
    return naming, eps


def _classifier(path: Path, tensors: Mapping[str, Array]) -> str:
    """The name of the last layer: torchvision's has a number, which fine-tuning may change."""
    found = [name.removesuffix(".weight") for name, values in tensors.items() if values.ndim == 2]
    if len(found) != 1:
        listed = f" ({', '.join(found)})" if found else ""
        raise CheckpointError(
            f"{path.name}: {len(found)} linear layers{listed}, and a MobileNet has one; "
            "import another head as ONNX (torch.onnx.export)"
        )
    return found[0]


def _keras(path: Path) -> IdentifiedWeights:
    family = keras_h5.family_of(path)
    return network_of(path, keras_h5.read(path, family), family, PAPER_DESIGN, "keras")


def network_of(
    path: Path, checkpoint: Checkpoint, family: Family, design: Design, form: str
) -> IdentifiedWeights:
    """With the width multiplier that gives just these layers."""
    found = {name: layer.kernel.shape for name, layer in checkpoint.layers.items()}
    for alpha in WIDTHS:
        network = define(family, alpha, ANY_SIZE, design=design)
        wanted = kernel_shapes(network)
        if all(found[name] == shape for name, shape in wanted.items() if name != "classifier"):
            return IdentifiedWeights(checkpoint, family, alpha, design, form)
    raise CheckpointError(
        f"{path.name}: no width multiplier from {min(WIDTHS)} to {max(WIDTHS)} gives the channels "
        f"of its {family}; import the network as ONNX"
    )

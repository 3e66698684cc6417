"""A recipe: what calibration found for one float model, as a JSON file.

With it, the INT8 file is made without photos and is the same, byte for byte, on every machine. The
file has one line a tensor: decimals for ranges, whole numbers for factors and corrections, and
base64 of float32 (little-endian) for the scales of the weights.
"""

import base64
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from app.card.card import QuantizationReport, Sha256, SourceFile
from models.checkpoints.checkpoint import Affine
from models.export.export import kernel_shapes
from models.network.network import INPUT, Network
from models.recipes.factors import tensors_with_shared_factors
from models.recipes.integers import CalibratedNumbers, LayerNumbers

RECIPE_VERSION: Literal[1] = 1
Scale = Annotated[float, Field(gt=0)]
Level = Annotated[int, Field(ge=0, le=255)]
Factor = Annotated[int, Field(ge=1)]
MAX_CORRECTION = 1 << 30
Correction = Annotated[int, Field(ge=-MAX_CORRECTION, le=MAX_CORRECTION)]


class RecipeError(ValueError):
    """A recipe is not valid or belongs to another model; the message says why."""


class RecipePart(BaseModel, frozen=True, extra="forbid"):
    """A frozen record of a recipe; an unknown field is an error."""


class Photo(RecipePart):
    name: str
    sha256: Sha256


class Measured(RecipePart):
    """Top-1 agreement with the float model, in percent, on photos that no calibration used."""

    by: str
    photos: str
    images: int = Field(ge=1)
    top1_agreement: float = Field(ge=0, le=100)


class LayerLine(RecipePart):
    scales: str
    corrections: tuple[Correction, ...]

    def numbers(self) -> LayerNumbers:
        scales = np.frombuffer(base64.b64decode(self.scales, validate=True), "<f4")
        return LayerNumbers(scales.astype(np.float32), np.array(self.corrections, np.int32))


class Recipe(RecipePart):
    """A recipe file.

    file_sha256  of the ONNX file that it makes
    checkpoint   the files with the float weights
    report       the quantization report of the card
    measured     on photos that neither calibrated nor compared methods
    self_test    what the file computes for a fixed image, which is put into the file
    activations  scale and zero point of each tensor
    factors      of the channels of a group of tensors, in 1/32, by the group's first tensor
    layers       scale of each output channel's weights, and what to add to its bias, in its steps
    """

    recipe_version: Literal[1]
    name: str
    file_sha256: Sha256
    checkpoint: tuple[SourceFile, ...]
    report: QuantizationReport
    measured: tuple[Measured, ...]
    calibration_photos: tuple[Photo, ...]
    comparison_photos: tuple[Photo, ...]
    self_test: str | None = None
    activations: dict[str, tuple[Scale, Level]]
    factors: dict[str, tuple[Factor, ...]]
    layers: dict[str, LayerLine]

    def numbers(self, network: Network) -> CalibratedNumbers:
        """The numbers, as arrays.

        Raises:
            RecipeError: they are not those of the layers of this network.
        """
        try:
            layers = {name: line.numbers() for name, line in self.layers.items()}
        except ValueError as error:  # of base64 or NumPy
            raise RecipeError(f"a layer's scales cannot be read: {error}") from error
        found = CalibratedNumbers(
            {
                name: Affine(float(np.float32(scale)), zero)
                for name, (scale, zero) in self.activations.items()
            },
            {name: np.array(steps, np.int32) for name, steps in self.factors.items()},
            layers,
        )
        _check(found, network)
        return found


def _check(numbers: CalibratedNumbers, network: Network) -> None:
    """Compare names and numbers of channels with the network.

    Raises:
        RecipeError: they differ; the text names the tensor.
    """
    channels = {step.node.name: step.output_shape[0] for step in network.steps()}
    layers, groups = kernel_shapes(network), tensors_with_shared_factors(network)
    ranges = {INPUT, *channels} - {network.last}
    wrong = (layers.keys() ^ numbers.layers.keys()) | (ranges ^ numbers.activations.keys())
    wrong |= numbers.factors.keys() - groups.keys()
    if wrong:
        raise RecipeError(f"tensors missing or unknown: {', '.join(sorted(wrong))}")
    sizes = [(name, len(steps)) for name, steps in numbers.factors.items()]
    for name, layer in numbers.layers.items():
        sizes += [(name, len(layer.scales)), (name, len(layer.corrections))]
        if not (np.isfinite(layer.scales).all() and (layer.scales > 0).all()):
            raise RecipeError(f"{name} has a scale that is not above 0")
    for name, count in sizes:
        if count != channels[name]:
            raise RecipeError(f"{name} has {channels[name]} channels and the recipe {count}")


def read_recipe(path: Path) -> Recipe:
    """Read a recipe file.

    Raises:
        RecipeError: it is not a recipe.
        OSError: it cannot be read.
    """
    try:
        return Recipe.model_validate_json(path.read_bytes())
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, fault["loc"])) or "file"
        raise RecipeError(f"{path} is not a recipe: {place}: {fault['msg']}") from error


def lines_of(numbers: CalibratedNumbers) -> dict[str, Any]:
    """The fields of a recipe that hold numbers."""
    return {
        "activations": {
            name: (float(str(np.float32(affine.scale))), affine.zero_point)
            for name, affine in numbers.activations.items()
        },
        "factors": {name: tuple(steps.tolist()) for name, steps in numbers.factors.items()},
        "layers": {
            name: LayerLine(
                scales=base64.b64encode(layer.scales.astype("<f4").tobytes()).decode(),
                corrections=tuple(layer.corrections.tolist()),
            )
            for name, layer in numbers.layers.items()
        },
    }


def as_text(recipe: Recipe) -> str:
    """The JSON text of a recipe: a line for each field, tensor, layer and photo."""
    fields = recipe.model_dump(mode="json")
    return (
        "{\n" + ",\n".join(f" {json.dumps(key)}: {_lines(fields[key])}" for key in fields) + "\n}\n"
    )


def _lines(value: Any) -> str:
    """JSON of a value; the entries of an object or a list have a line each."""
    if isinstance(value, dict):
        inner = [f"  {json.dumps(key)}: {_compact(each)}" for key, each in value.items()]
        return "{\n" + ",\n".join(inner) + "\n }"
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(f"  {_compact(each)}" for each in value) + "\n ]"
    return _compact(value)


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))

"""The model card: what an exported file says of itself, as JSON in ONNX `metadata_props`.

With the names of the graph's inputs and outputs, the card is the whole contract between the half
that exports and the half that serves, so a field that is missing, unknown or of the wrong type is
an error, and `card_version` counts every change.
Version 1 had no `quantization`, version 2 no `measured`; both are still read.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.errors import CardError

CARD_VERSION: Literal[3] = 3
CARD_KEY = "mobilenet_gateway_card"
NAME = r"^[a-z0-9][a-z0-9_.\-]{0,99}$"  # of a model

INPUT = "image"  # uint8 RGB [N, H, W, 3]
PROBABILITIES = "probabilities"  # float32 [N, classes]
EMBEDDING = "embedding"  # float32 [N, channels], the pooled features

Family = Literal["mobilenet_v1", "mobilenet_v2", "other"]
Precision = Literal["fp32", "int8"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]
Fraction = Annotated[float, Field(gt=0, le=1)]
Percent = Annotated[float, Field(ge=0, le=100)]
Count = Annotated[int, Field(ge=0)]
Milliseconds = Annotated[float, Field(ge=0)]


class CardPart(BaseModel):
    """A frozen record of the card; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Preprocessing(CardPart):
    """How a photo becomes the square that the graph sees, as in the checkpoint's own evaluation.

    `shortest_edge` resizes the shorter side to floor(resolution / crop_fraction), keeps the aspect
    ratio and cuts the centre. `central_crop` cuts `crop_fraction` of each side and squashes the
    cut to the square (slim's `preprocess_for_eval`).
    """

    resize: Literal["shortest_edge", "central_crop"]
    crop_fraction: Fraction
    interpolation: Interpolation


class Resolutions(CardPart):
    """The square sizes, in pixels, that the graph accepts: `minimum`, +`step`, ... `maximum`."""

    minimum: int = Field(ge=1)
    maximum: int = Field(ge=1)
    step: int = Field(ge=1)

    def __contains__(self, resolution: int) -> bool:
        return (
            self.minimum <= resolution <= self.maximum
            and (resolution - self.minimum) % self.step == 0
        )

    def __str__(self) -> str:
        if self.minimum == self.maximum:
            return f"{self.minimum} only"
        return f"{self.minimum} to {self.maximum} in steps of {self.step}"


class Accuracy(CardPart):
    """Published single-crop accuracy on the ImageNet validation set, in percent."""

    top1: Percent
    top5: Percent | None
    source: str


class Measurement(CardPart):
    """Single-crop accuracy at one resolution on labelled photos of the owner's, in percent.

    Measured on the way that the service takes. `photos` is the name of their folder or list.
    """

    resolution: int = Field(ge=1)
    top1: Percent
    top5: Percent
    images: int = Field(ge=1)
    photos: str


class SourceFile(CardPart):
    """A file that weights were read from; the zoo's own cards lack the hash until it is fetched."""

    name: str
    sha256: str | None = Field(pattern=r"^[0-9a-f]{64}$")


class Origin(CardPart):
    """Where the weights come from.

    `imported` marks a file of somebody else's, of which no more is known than what its owner said;
    `untrained` marks random weights, good for costs only.
    """

    kind: Literal["published", "imported", "untrained"]
    source: str
    files: tuple[SourceFile, ...]
    licence: str | None


class LayerRow(CardPart):
    """The cost of one layer at the trained resolution, for one image.

    Shapes are channels, height, width. `weights` counts what is multiplied; `biases` and
    `batch_norm_params` (scale and shift, 2 a channel, folded away in the file) are apart.
    """

    name: str
    kind: str
    input_shape: tuple[int, int, int]
    output_shape: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: int
    groups: int
    weights: Count
    biases: Count
    batch_norm_params: Count
    madds: Count
    activation_bytes: Count


class Cost(CardPart):
    """What the network costs for one image at the trained resolution.

    `params` counts what training learns: weights, biases, and 2 per batch-norm channel.
    `stored_params` counts what the file holds after batch norm is folded: weights and one bias a
    channel. `madds` counts one multiply-add per weight use in convolutions and the classifier;
    biases, batch norm, activations, pooling and residual adds are free, as in both papers.
    `peak_activation_bytes` is the most that live activations take at once, element-wise layers in
    place. `standard_*` is the same network with every depthwise separable pair (a depthwise
    convolution and the pointwise one after it) replaced by one standard convolution.
    """

    params: Count
    stored_params: Count
    madds: Count
    classifier_madds: Count
    peak_activation_bytes: Count
    standard_params: Count
    standard_madds: Count
    layers: tuple[LayerRow, ...]


class QuantizationReport(CardPart):
    """How a model was quantised after training, and how it compares with the float one.

    `compared_images` are views of photos that took no part in calibration; `same_first_class` is
    the share of them, in percent, on which both have the same first class, and
    `probability_difference` the mean absolute difference of that class's probability. Both times
    are medians of one image on one core of `device`.
    """

    source: str
    method: str
    float_layers: tuple[str, ...]
    calibration_images: Count
    compared_images: Count
    same_first_class: Percent
    probability_difference: float = Field(ge=0, le=1)
    float_ms: Milliseconds
    int8_ms: Milliseconds
    device: str


class ModelCard(CardPart):
    """Everything that the service needs to know of a model besides its graph."""

    card_version: Literal[3]
    name: str = Field(pattern=NAME)
    family: Family
    alpha: float | None = Field(gt=0)
    resolution: int = Field(ge=1)
    resolutions: Resolutions
    precision: Precision
    labels: tuple[str, ...] = Field(min_length=1)
    preprocessing: Preprocessing
    accuracy: Accuracy | None
    origin: Origin
    cost: Cost
    quantization: QuantizationReport | None
    measured: tuple[Measurement, ...]

    @model_validator(mode="before")
    @classmethod
    def _from_older_versions(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("card_version") == 1 and "quantization" not in data:
            data = {**data, "card_version": 2, "quantization": None}
        if isinstance(data, dict) and data.get("card_version") == 2 and "measured" not in data:
            data = {**data, "card_version": CARD_VERSION, "measured": []}
        return data

    @property
    def trained(self) -> bool:
        return self.origin.kind != "untrained"


def parse_card(text: str) -> ModelCard:
    """Read a card from its JSON text.

    Raises:
        CardError: the text is not JSON, or a field is missing, unknown or out of range.
    """
    try:
        return ModelCard.model_validate_json(text)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'card'}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_input=False)[:5]
        )
        raise CardError(f"its model card is not valid: {faults}") from error

"""The model card: the description of an exported model, as JSON in ONNX `metadata_props`.

The card and the names of the graph's input and outputs are the whole contract between the code that
exports models and the code that serves them. A missing field, an unknown field or a value of the
wrong type is therefore an error, and every change of the fields raises `card_version`.
`app.card.older_versions` reads the cards of older versions.

The graph takes `image` and gives `probabilities` and `embedding`. Exports of this project also give
`logits` and `features`; an imported graph does where its structure has them, and a file with a card
of version 3 or older has neither.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from app.card.older_versions import upgrade
from app.errors import CardError

CARD_VERSION: Literal[5] = 5
CARD_KEY = "mobilenet_gateway_card"
NAME = r"^[a-z0-9][a-z0-9_.\-]{0,99}$"  # of a model

INPUT = "image"  # uint8 [N, H, W, channels of the card]; RGB if those are 3
PROBABILITIES = "probabilities"  # float32 [N, labels]
EMBEDDING = "embedding"  # float32 [N, C], the pooled features
LOGITS = "logits"  # float32 [N, labels, and one more if the card has a `background`]
FEATURES = "features"  # float32 [N, C, h, w], the last feature map, before the pooling

Family = Literal["mobilenet_v1", "mobilenet_v2", "other"]
Precision = Literal["fp32", "int8"]
PrecisionOrigin = Literal[
    "float",
    "float_of_int8",
    "publisher_int8",
    "publisher_int8_per_channel",
    "post_training_int8",
]
HeadActivation = Literal["softmax", "sigmoid", "none"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]
Fraction = Annotated[float, Field(gt=0, le=1)]
Percent = Annotated[float, Field(ge=0, le=100)]
Count = Annotated[int, Field(ge=0)]
Milliseconds = Annotated[float, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

PRECISION_OF: dict[PrecisionOrigin, Precision] = {
    "float": "fp32",
    "float_of_int8": "fp32",
    "publisher_int8": "int8",
    "publisher_int8_per_channel": "int8",
    "post_training_int8": "int8",
}


class CardPart(BaseModel, frozen=True, extra="forbid"):
    """A frozen record of the card; an unknown field is an error."""


class Preprocessing(CardPart):
    """How an image becomes the square input of the graph, as in the checkpoint's own evaluation.

    `shortest_edge` resizes the shorter side to floor(resolution / crop_fraction) pixels, keeps the
    aspect ratio and crops the centre. `central_crop` crops the central `crop_fraction` of each side
    and resizes the crop to the square (slim's `preprocess_for_eval`).
    """

    resize: Literal["shortest_edge", "central_crop"]
    crop_fraction: Fraction
    interpolation: Interpolation


class Resolutions(CardPart):
    """The sides, in pixels, of the squares that the graph supports.

    `minimum`, `minimum + step` and so on up to `maximum`.
    """

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
    """Single-crop accuracy at one resolution on the owner's labelled photos, in percent.

    The photos were decoded, cropped and classified by the code of the service. `photos` is the name
    of their folder or list.
    """

    resolution: int = Field(ge=1)
    top1: Percent
    top5: Percent
    images: int = Field(ge=1)
    photos: str


class SourceFile(CardPart):
    """A file that the weights were read from; `sha256` is None until the zoo has fetched it."""

    name: str
    sha256: Sha256 | None


class Origin(CardPart):
    """Where the weights come from.

    `imported` marks a model of the user's own, known only by its file and what the user stated.
    `untrained` marks random weights, which serve to study cost and latency.
    """

    kind: Literal["published", "imported", "untrained"]
    source: str
    files: tuple[SourceFile, ...]
    licence: str | None


class LayerRow(CardPart):
    """The cost of one layer at the trained resolution, for one image.

    Shapes are channels, height, width. `weights` counts the values of the kernel; `biases` and
    `batch_norm_params` (scale and shift, 2 per channel, folded into the kernel in the file) are
    counted separately. `madds` are multiply-adds.
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
    """The cost of the network for one image at the trained resolution.

    `params` counts the trained parameters: weights, biases, and 2 per batch-norm channel.
    `stored_params` counts the parameters in the file after batch norm is folded: weights and one
    bias per channel. `madds` counts one multiply-add per use of a weight in convolutions and the
    classifier; biases, batch norm, activations, pooling and residual adds count nothing, as in both
    papers. `peak_activation_bytes` is the maximum of the activations alive at the same time, with
    element-wise layers in place. `standard_*` is the same network with every depthwise separable
    pair (a depthwise convolution and the pointwise one after it) replaced by one standard
    convolution.
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
    """How a model was quantised after training, and how it compares with the float model `source`.

    `compared_images` counts views of photos that took no part in calibration. `top1_agreement` is
    the percentage of them on which both models have the same top-1 class;
    `probability_difference` is the mean absolute difference of the probability of the float model's
    top-1 class, from 0 to 1. Both times are medians of one image on one core of `device`; all three
    are None in a file made from a recipe, which is the same wherever it is made.
    """

    source: str
    method: str
    calibration_images: Count
    compared_images: Count
    top1_agreement: Percent
    probability_difference: float = Field(ge=0, le=1)
    float_ms: Milliseconds | None
    int8_ms: Milliseconds | None
    device: str | None


class ModelCard(CardPart):
    """All that the service knows of a model besides its graph.

    alpha               width multiplier; None where the family has none
    resolution          side, in pixels, of the square input that the weights were trained at
    channels            of the input: 3 for RGB, 1 for grey
    precision           in which the layers compute
    precision_origin    `float`: trained and published in float
                        `float_of_int8`: the publisher's integer weights, dequantised to float
                        `publisher_int8`: the publisher's own integers, by quantisation-aware
                        training or otherwise
                        `publisher_int8_per_channel`: those, with a scale for each channel and
                        zero point 0; channels that do not fit are rounded again
                        `post_training_int8`: quantised by this project after training
    labels              names of the classes, in the order of `probabilities`
    background          index in `logits` of a class that means "none of the others", which
                        `probabilities` leaves out; None if there is none
    head_activation     turns `logits` into `probabilities`
    base_sha256         hash of the file of the base model if this model is a head on it
    """

    card_version: Literal[5]
    name: str = Field(pattern=NAME)
    family: Family
    alpha: float | None = Field(gt=0)
    resolution: int = Field(ge=1)
    resolutions: Resolutions
    channels: Literal[3, 1]
    precision: Precision
    precision_origin: PrecisionOrigin
    labels: tuple[str, ...] = Field(min_length=1)
    background: Count | None
    head_activation: HeadActivation
    preprocessing: Preprocessing
    accuracy: Accuracy | None
    origin: Origin
    base_sha256: Sha256 | None
    cost: Cost
    quantization: QuantizationReport | None
    measured: tuple[Measurement, ...]

    @model_validator(mode="before")
    @classmethod
    def _upgrade(cls, data: Any) -> Any:
        return upgrade(data)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if PRECISION_OF[self.precision_origin] != self.precision:
            raise ValueError(f"precision {self.precision} cannot be {self.precision_origin}")
        if self.quantization is not None and self.precision_origin != "post_training_int8":
            raise ValueError(f"a {self.precision_origin} model has no quantization report")
        if self.background is not None and self.background > len(self.labels):
            raise ValueError(f"background {self.background} is no index of {LOGITS}")
        return self

    @property
    def trained(self) -> bool:
        return self.origin.kind != "untrained"


def card_in(metadata: Mapping[str, str]) -> ModelCard:
    """Read the card from the metadata of a file.

    Raises:
        CardError: there is none, or it is not valid.
    """
    if CARD_KEY not in metadata:
        raise CardError(
            "no model card, so this is not an export of this project. "
            "Convert it with `mobilenet-gateway models import`."
        )
    return parse_card(metadata[CARD_KEY])


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

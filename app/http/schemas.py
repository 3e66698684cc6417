"""JSON records of the routes other than POST /predict.

Units are part of the field names. Fields may be added, but never change their meaning.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from app.cameras.status import CameraStatus
from app.capture.folder import Reason
from app.card.accuracy import Basis, figure_at
from app.card.card import Family, LayerRow, ModelCard, Precision
from app.card.variant import Variant
from app.inference.results import ClassScore
from app.inference.timings import Measured
from app.model.model import State
from app.request import examples
from app.settings import Provider
from app.wire import Wire, with_example


class LayersQuery(BaseModel, extra="forbid"):
    """The query of a request for layers."""

    resolution: int | None = Field(
        None, description="Resolution of the model's input. Default: the trained one."
    )


class CapturesQuery(BaseModel, extra="forbid"):
    """The query of a request for kept images."""

    limit: int = Field(100, ge=1, le=1000, description="Maximum number of images in the answer.")
    before: str = Field("", description="Only images before this id: the last one of a page.")


class KeptImage(Wire):
    """A kept image without its bytes."""

    id: str
    created: datetime
    model: str = Field(description="The model that answered; of several heads the one in question.")
    reason: Reason = Field(
        description="`unknown` to a head, `uncertain` (below `capture_below`), or kept at random."
    )
    predictions: list[ClassScore] = Field(description="What the model answered.")
    bytes: int = Field(description="Size of the image's file.")


class CaptureList(Wire, json_schema_extra=with_example(examples.CAPTURES)):
    """Kept images, the newest first."""

    captures: list[KeptImage]
    bytes: int = Field(description="Size of all kept images with their records.")
    limit_bytes: int


class BrokerStatus(Wire):
    """The MQTT broker of the settings."""

    connected: bool


class CameraList(Wire, json_schema_extra=with_example(examples.CAMERAS)):
    """Every camera, in the order of the settings."""

    cameras: list[CameraStatus]
    mqtt: BrokerStatus | None = Field(description="Null without a table `[mqtt]`.")


class KnownAccuracy(Wire):
    """Accuracy in percent: single crops of the ImageNet validation set, or measured on photos."""

    percent: float
    source: str


class Saving(Wire):
    """Cost of the same network with standard convolutions, and its ratio to this model's."""

    standard_params: int
    standard_madds: int
    params_ratio: float
    madds_ratio: float


class ModelSummary(Wire):
    """A model and its cost for one image at its trained resolution."""

    name: str
    default: bool
    state: State = Field(
        description="`not_loaded` for the other form of the default model until a request uses it."
    )
    family: Family
    alpha: float | None
    resolution: int
    resolutions: str = Field(description="Supported resolutions.")
    precision: Precision
    params: int = Field(description="Weights, biases and 2 per batch-norm channel.")
    madds: int = Field(description="Multiply-adds of convolutions and classifier.")
    file_bytes: int
    providers: list[Provider] = Field(description="Execution providers in use, in order.")
    peak_activation_bytes: int = Field(description="Activation memory of one inference.")
    top1: KnownAccuracy | None
    top5: KnownAccuracy | None
    saving: Saving


class ModelList(Wire, json_schema_extra=with_example(examples.MODEL_LIST)):
    """All models, and the files that could not be loaded at the start or the last reload."""

    models: list[ModelSummary]
    broken: dict[str, str] = Field(
        default_factory=dict, description="Reason by file name; the previous model keeps serving."
    )


class VariantRow(Wire):
    """A model at a resolution, with its cost and its times on this device."""

    model: str
    resolution: int
    precision: Precision
    top1: float | None = Field(description="Top-1 accuracy in percent; null if unknown.")
    top1_basis: Basis | None = Field(description="Measured, published or interpolated.")
    params: int
    madds: int
    memory_bytes: int = Field(description="Weights as stored plus activation memory.")
    inference_ms: float | None = Field(
        description="Median time of one inference; null if never timed."
    )
    inference_p95_ms: float | None = Field(
        description="95th percentile; if `samples` is 0, the slowest run of the idle measurement."
    )
    samples: int = Field(
        description="Number of requests behind these times; 0 if measured while idle."
    )
    idle_ms: float | None = Field(
        description="Median time of one inference while the service was idle; null if not measured."
    )


class DecodeRow(Wire):
    """Decoding times of encoded images of about one size."""

    image_bytes: int = Field(
        description="Upper bound of this size class; the next lower one is half of it."
    )
    resolution: int
    decode_ms: float = Field(description="Median decoding time.")
    decode_p95_ms: float = Field(description="95th percentile of the decoding time.")
    samples: int


class RankedVariant(VariantRow):
    """A variant and its place on the Pareto frontier."""

    on_frontier: bool
    beaten_by: str | None = Field(
        None,
        description="The most accurate variant that is no worse in any respect and better in one.",
    )


class Frontier(Wire, json_schema_extra=with_example(examples.FRONTIER)):
    """Every variant that `auto` can choose, most accurate first, and decoding times."""

    variants: list[RankedVariant]
    decoding: list[DecodeRow]
    brownout_step: int


class MeasureReport(Wire, json_schema_extra=with_example(examples.MEASURE_REPORT)):
    """Result of timing the models on this device."""

    measured: int = Field(description="Number of variants timed.")
    left_out: int = Field(description="Number of variants not timed for lack of time.")
    took_s: float


class ReloadReport(Wire, json_schema_extra=with_example(examples.RELOAD_REPORT)):
    """Result of reading the store again."""

    loaded: list[str] = Field(description="New or changed models.")
    dropped: list[str] = Field(description="Models whose file was removed.")
    unchanged: list[str]
    broken: dict[str, str] = Field(description="Reason by file name.")
    replica: str = Field(
        description="Host name and process id of the service that did so; other replicas did not."
    )


class ModelDetail(Wire, json_schema_extra=with_example(examples.MODEL_DETAIL)):
    """The model card without its layers, which have their own path."""

    state: State
    file_bytes: int
    providers: list[Provider] = Field(description="Execution providers in use, in order.")
    variants: list[VariantRow] = Field(description="Cost and times at each resolution.")
    card: dict[str, Any]


class LayerTable(Wire, json_schema_extra=with_example(examples.LAYER_TABLE)):
    """Cost of every layer for one image, at the trained resolution or another."""

    model: str
    resolution: int
    madds: int = Field(description="Multiply-adds of all layers.")
    peak_activation_bytes: int = Field(description="Activation memory of one inference.")
    layers: list[LayerRow]


class Health(Wire, json_schema_extra=with_example({"status": "ok"})):
    """Health of the process, or its readiness for requests."""

    status: Literal["ok", "ready"]


class Info(Wire, json_schema_extra=with_example(examples.INFO)):
    """Versions, hardware use and settings of the service."""

    version: str
    onnxruntime: str
    pillow: str
    python: str
    providers: list[Provider] = Field(description="Execution providers that onnxruntime offers.")
    cores: int
    cores_reason: str
    workers: int
    lone_image_threads: int = Field(
        description="Threads that infer an image of the default model while it is the only one; "
        "more than 1 once the model was used."
    )
    models: list[str]
    cameras: list[str] = Field(description="Names of the cameras that the service watches.")
    runs_on: dict[str, list[Provider]] = Field(
        description="Execution providers by model, in order."
    )
    default_model: str = Field(description="The model for requests that name none, or `auto`.")
    default_reason: str = Field(description="Why it is that model.")
    settings: dict[str, Any]


def summarize(
    card: ModelCard,
    file_bytes: int,
    providers: list[Provider],
    *,
    default: bool,
    state: State = "loaded",
) -> ModelSummary:
    """Make the entry of a model in /models."""
    cost, accuracy = card.cost, figure_at(card, card.resolution)
    top1 = top5 = None
    if accuracy:
        top1 = KnownAccuracy(percent=accuracy.top1, source=accuracy.source)
        if accuracy.top5 is not None:
            top5 = KnownAccuracy(percent=accuracy.top5, source=accuracy.source)
    return ModelSummary(
        name=card.name,
        default=default,
        state=state,
        family=card.family,
        alpha=card.alpha,
        resolution=card.resolution,
        resolutions=str(card.resolutions),
        precision=card.precision,
        params=cost.params,
        madds=cost.madds,
        file_bytes=file_bytes,
        providers=providers,
        peak_activation_bytes=cost.peak_activation_bytes,
        top1=top1,
        top5=top5,
        saving=Saving(
            standard_params=cost.standard_params,
            standard_madds=cost.standard_madds,
            params_ratio=round(cost.standard_params / cost.params, 2),
            madds_ratio=round(cost.standard_madds / cost.madds, 2),
        ),
    )


def variant_row(variant: Variant, observed: Measured | None, idle: Measured | None) -> VariantRow:
    top1 = variant.top1
    return VariantRow(
        model=variant.model,
        resolution=variant.resolution,
        precision=variant.precision,
        top1=top1.percent if top1 else None,
        top1_basis=top1.basis if top1 else None,
        params=variant.params,
        madds=variant.madds,
        memory_bytes=variant.memory_bytes,
        inference_ms=round(observed.p50_ms, 3) if observed else None,
        inference_p95_ms=round(observed.p95_ms, 3) if observed else None,
        samples=observed.samples if observed else 0,
        idle_ms=round(idle.p50_ms, 3) if idle else None,
    )

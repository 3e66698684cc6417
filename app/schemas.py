"""What goes over the wire. Units stand in the names; fields may be added, never change meaning."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app import examples
from app.card import Family, LayerRow, ModelCard, Precision
from app.problem import Problem
from app.providers import Provider


class Wire(BaseModel):
    model_config = ConfigDict(frozen=True)


def shown(example: dict[str, Any]) -> ConfigDict:
    """What makes OpenAPI show this example."""
    return ConfigDict(json_schema_extra={"examples": [example]})


class Prediction(Wire):
    """One class and how sure the model is of it."""

    class_id: int = Field(description="ImageNet index of the class, 0 to 999.")
    label: str
    probability: float = Field(description="Softmax over all classes.")


class ImageResult(Wire):
    """The answer for one image: predictions, or the error that kept it from being answered."""

    predictions: list[Prediction] = Field(description="Most probable first; empty on an error.")
    queue_ms: float = Field(description="Time from arrival until a worker took the image.")
    decode_ms: float = Field(description="Decoding, cropping and resizing.")
    inference_ms: float = Field(description="The run of the model.")
    error: Problem | None = Field(None, description="Present where this image failed.")


class Answer(Wire):
    """The answer to POST /predict; `results` is in the order of the images."""

    model_config = shown(examples.ANSWER)

    model: str
    resolution: int
    results: list[ImageResult]


class PredictBody(BaseModel):
    """The JSON form of a request: images in base64, plain or as data: URLs."""

    model_config = ConfigDict(extra="forbid")

    images: list[str] = Field(min_length=1)


class PredictQuery(BaseModel):
    """What a request can choose."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(
        None, min_length=1, description="A name from /models; default: the default model."
    )
    top_k: int = Field(5, ge=1, le=100, description="How many classes to rank.")
    resolution: int | None = Field(
        None, description="Side of the square that the model sees; default: as trained."
    )


class NoQuery(BaseModel):
    """A resource without parameters: any that is sent is an error."""

    model_config = ConfigDict(extra="forbid")


class PublishedAccuracy(Wire):
    """Percent on the ImageNet validation set, single crop."""

    percent: float
    source: str


class Saving(Wire):
    """The same network with standard convolutions, and how many times more it takes."""

    standard_params: int
    standard_madds: int
    params_ratio: float
    madds_ratio: float


class ModelSummary(Wire):
    """What a model is and costs for one image at its trained resolution."""

    name: str
    default: bool
    family: Family
    alpha: float | None
    resolution: int
    resolutions: str = Field(description="Sizes that a request may ask for.")
    precision: Precision
    params: int = Field(description="Weights, biases and 2 a batch-norm channel.")
    madds: int = Field(description="Multiply-adds of convolutions and classifier.")
    file_bytes: int
    providers: list[Provider] = Field(description="What it really runs on, in order.")
    peak_activation_bytes: int = Field(description="Most live activations at once.")
    top1: PublishedAccuracy | None
    top5: PublishedAccuracy | None
    saving: Saving


class ModelList(Wire):
    """All loaded models, and the files that could not be loaded at the last reload."""

    model_config = shown(examples.MODEL_LIST)

    models: list[ModelSummary]
    broken: dict[str, str] = Field(
        default_factory=dict, description="Reason by file name; the model before it goes on."
    )


class ReloadReport(Wire):
    """What reading the store again did."""

    model_config = shown(examples.RELOAD_REPORT)

    loaded: list[str] = Field(description="New or changed models.")
    dropped: list[str] = Field(description="Models whose file is gone.")
    unchanged: list[str]
    broken: dict[str, str] = Field(description="Reason by file name.")


class ModelDetail(Wire):
    """A model's whole card; the layers have a resource of their own."""

    model_config = shown(examples.MODEL_DETAIL)

    file_bytes: int
    providers: list[Provider] = Field(description="What it really runs on, in order.")
    card: dict[str, Any]


class LayerTable(Wire):
    """Cost of every layer for one image at the trained resolution."""

    model_config = shown(examples.LAYER_TABLE)

    model: str
    resolution: int
    layers: list[LayerRow]


class Health(Wire):
    """Whether the process lives, or is ready for requests."""

    model_config = shown({"status": "ok"})

    status: Literal["ok", "ready"]


class Info(Wire):
    """What runs here and within which limits."""

    model_config = shown(examples.INFO)

    version: str
    onnxruntime: str
    pillow: str
    python: str
    providers: list[Provider] = Field(description="What this onnxruntime offers.")
    cores: int
    cores_reason: str
    workers: int
    models: list[str]
    runs_on: dict[str, list[Provider]] = Field(description="Providers by model, in order.")
    default_model: str
    settings: dict[str, Any]


def summarise(
    card: ModelCard, file_bytes: int, providers: list[Provider], *, default: bool
) -> ModelSummary:
    """The row of /models for a card."""
    cost, accuracy = card.cost, card.accuracy
    top1 = top5 = None
    if accuracy:
        top1 = PublishedAccuracy(percent=accuracy.top1, source=accuracy.source)
        if accuracy.top5 is not None:
            top5 = PublishedAccuracy(percent=accuracy.top5, source=accuracy.source)
    return ModelSummary(
        name=card.name,
        default=default,
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

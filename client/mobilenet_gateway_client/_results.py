"""Answers of the gateway as values; fields that a newer gateway adds are ignored."""

from array import array
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from mobilenet_gateway_client._errors import (
    NotAGateway,
    Problem,
    UnreadableImage,
    to_problem,
)


@dataclass(frozen=True, slots=True)
class ClassScore:
    """A class and its probability, 0 to 1; `class_id` counts the classes of the model from 0."""

    class_id: int
    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Classification:
    """The answer for one image, most probable class first.

    `error` is set if an image of several could not be classified; `predictions` is empty then. If
    `model` names several heads, `heads` has the classes by each, and `predictions` is empty.
    """

    model: str
    resolution: int
    predictions: tuple[ClassScore, ...] = ()
    queue_ms: float = 0.0
    decode_ms: float = 0.0
    inference_ms: float = 0.0
    error: Problem | UnreadableImage | None = None
    warnings: tuple[str, ...] = ()  # what seems to be missing from a damaged file
    heads: Mapping[str, tuple[ClassScore, ...]] = field(default_factory=dict)
    embedding: "array[float] | None" = None  # as float32, if it was asked for
    explanation: Mapping[str, Any] | None = None  # if it was asked for; `overlay` as bytes of a PNG

    @property
    def label(self) -> str:
        """The name of the most probable class.

        Raises:
            Problem, UnreadableImage: the image could not be classified.
            ValueError: several heads classified it.
        """
        if self.error is not None:
            raise self.error
        if self.heads:
            raise ValueError(f"{self.model} are several heads; `heads` has the classes by each.")
        return self.predictions[0].label


@dataclass(frozen=True, slots=True)
class Model:
    """A model and what it costs for one image at its trained resolution.

    `state` is `loaded`, or `not_loaded` for the other form of the default model until a request
    uses it.
    """

    name: str
    default: bool
    state: str
    family: str
    alpha: float | None
    resolution: int
    resolutions: str
    precision: str
    params: int
    madds: int
    file_bytes: int
    peak_activation_bytes: int
    top1_percent: float | None
    top5_percent: float | None

    @classmethod
    def parse(cls, sent: Mapping[str, Any]) -> Self:
        """From an entry of /models."""
        percents = {
            f"{name}_percent": sent[name]["percent"] if sent[name] else None
            for name in ("top1", "top5")
        }
        return cls(**known_fields(cls, {**sent, **percents}))


@dataclass(frozen=True, slots=True)
class Layer:
    """The cost of one layer for one image; shapes are channels, height, width."""

    name: str
    kind: str
    input_shape: tuple[int, int, int]
    output_shape: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: int
    groups: int
    weights: int
    biases: int
    batch_norm_params: int
    madds: int
    activation_bytes: int


@dataclass(frozen=True, slots=True)
class LayerTable:
    """Every layer of a model at a resolution."""

    model: str
    resolution: int
    madds: int
    peak_activation_bytes: int
    layers: tuple[Layer, ...]

    @classmethod
    def parse(cls, sent: Mapping[str, Any]) -> Self:
        """From the answer of /models/NAME/layers."""
        layers = tuple(Layer(**known_fields(Layer, row)) for row in sent["layers"])
        return cls(**known_fields(cls, {**sent, "layers": layers}))


@dataclass(frozen=True, slots=True)
class Info:
    """Version, workers and models of the gateway; `settings` has its limits by name.

    `default_reason` says why `default_model` answers requests that name none.
    """

    version: str
    workers: int
    models: tuple[str, ...]
    default_model: str
    default_reason: str
    settings: Mapping[str, Any]

    @classmethod
    def parse(cls, sent: Mapping[str, Any]) -> Self:
        """From the answer of /info."""
        return cls(**known_fields(cls, {**sent, "models": tuple(sent["models"])}))


def to_classifications(sent: Mapping[str, Any]) -> list[Classification]:
    """The results of /predict, in the order of the images."""
    model, resolution = sent["model"], sent["resolution"]
    return [
        Classification(
            model,
            resolution,
            _scores(result["predictions"]),
            result["queue_ms"],
            result["decode_ms"],
            result["inference_ms"],
            to_problem(result["error"]) if result.get("error") else None,
            tuple(result.get("warnings") or ()),
            {
                name: _scores(head["predictions"])
                for name, head in (result.get("heads") or {}).items()
            },
            array("f", result["embedding"]) if result.get("embedding") else None,
            _explanation(result.get("explanation")),
        )
        for result in sent["results"]
    ]


def embedding_of(found: Classification) -> "array[float]":
    """The embedding of a classification that asked for it.

    Raises:
        Problem, UnreadableImage: the image could not be classified.
        NotAGateway: an older gateway answered without it.
    """
    if found.error is not None:
        raise found.error
    if found.embedding is None:
        raise NotAGateway("The gateway answered without the embedding.")
    return found.embedding


def _explanation(sent: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """As it was sent, with the PNG of the `data:` URL decoded."""
    if sent is None or not sent.get("overlay"):
        return sent
    return {**sent, "overlay": b64decode(sent["overlay"].partition(",")[2])}


def _scores(sent: Iterable[Mapping[str, Any]]) -> tuple[ClassScore, ...]:
    return tuple(ClassScore(**known_fields(ClassScore, row)) for row in sent)


def known_fields(kind: type[Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a dataclass, with tuples for lists.

    Raises:
        KeyError: one was not sent.
    """
    known = {field.name: sent[field.name] for field in fields(kind)}
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in known.items()
    }

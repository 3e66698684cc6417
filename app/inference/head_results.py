"""Results of one image that have more than the classes of one model: several heads, embeddings."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from json.encoder import encode_basestring as quoted
from typing import Annotated, Any

from pydantic import Field
from pydantic_core import to_json

from app.card.card import EMBEDDING, PROBABILITIES
from app.errors import BadQuery
from app.inference.classify import Classifier, rank
from app.inference.head_group import HeadGroup
from app.inference.helper_decode import Decoded
from app.inference.results import ClassScore, ImageResult
from app.model.model import Model


@dataclass(slots=True)
class EmbeddedResult(ImageResult):
    """The classes of one image, and its embedding if the request asks for it."""

    embedding: Annotated[
        list[float] | None,
        Field(description="Present with embedding=true: the pooled features, not scaled."),
    ] = None

    def to_json(self) -> str:
        # Without arguments, super() would look for the class that slots=True replaced.
        text = ImageResult.to_json(self)
        if self.embedding is None:
            return text
        return f'{{"embedding":{to_json(self.embedding).decode()},{text[1:]}'


@dataclass(slots=True)
class HeadResult:
    """The classes of one image by one head, in descending order of probability."""

    predictions: list[ClassScore]

    def to_json(self) -> str:
        return f'{{"predictions":[{",".join([each.to_json() for each in self.predictions])}]}}'


@dataclass(slots=True)
class HeadsResult(EmbeddedResult):
    """The classes of one image by each head that `model` names; `predictions` is empty."""

    heads: dict[str, HeadResult] = field(default_factory=dict)

    def to_json(self) -> str:
        found = [f"{quoted(name)}:{one.to_json()}" for name, one in self.heads.items()]
        return f'{{"heads":{{{",".join(found)}}},{EmbeddedResult.to_json(self)[1:]}'


def classification(
    classifier: Classifier, model: Model, embedding: bool
) -> Callable[..., EmbeddedResult]:
    """What takes the place of `Classifier.classify` for several heads, and for embeddings.

    Raises:
        BadQuery: the request asks for an embedding that the model does not have.
    """
    if embedding and EMBEDDING not in model.outputs:
        raise BadQuery(f"embedding: {model.name} was imported without one.")
    return partial(_classify, classifier, embedding=embedding)


def _classify(
    classifier: Classifier,
    data: bytes,
    queue_ms: float = 0.0,
    decoded: Decoded | None = None,
    *,
    model: Model,
    resolution: int,
    top_k: int,
    embedding: bool,
) -> EmbeddedResult:
    outputs = (PROBABILITIES, EMBEDDING) if embedding else (PROBABILITIES,)
    run = classifier.run(
        data, queue_ms, decoded, model=model, resolution=resolution, outputs=outputs
    )
    common: dict[str, Any] = {
        "queue_ms": round(run.queue_ms, 3),
        "decode_ms": round(run.decode_ms, 3),
        "inference_ms": round(run.inference_ms, 3),
        "warnings": list(run.warnings) or None,
        "embedding": run.outputs[1].tolist() if embedding else None,
    }
    if not isinstance(model, HeadGroup):
        return EmbeddedResult(rank(run.outputs[0], model.card.labels, top_k), **common)
    heads = {
        head.name: HeadResult(rank(values, head.card.labels, top_k))
        for head, values in model.by_head(run.outputs[0])
    }
    return HeadsResult([], **common, heads=heads)

"""The classes of an image, and why the model found one of them."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from app.arrays import Float32Array, Uint8Array
from app.card.card import EMBEDDING, FEATURES, INPUT, LOGITS, PROBABILITIES
from app.errors import BadQuery
from app.explain.activation_map import class_map
from app.explain.explanation import Explanation
from app.explain.linear_head import LinearHead
from app.explain.linear_heads import LinearHeads
from app.explain.photo import input_region
from app.explain.query import ExtraQuery
from app.images.crop import Box
from app.inference.classify import Classifier, rank
from app.inference.helper_decode import Decoded, needs_model
from app.inference.results import ImageResult
from app.model.head_model import HeadModel
from app.model.model import Model

TINY = float(np.finfo(np.float32).tiny)
DEEPER = "{} does not end in pooled features and a linear classifier."
NO_CLASS = "Nothing speaks for `unknown`: it is what resembles no taught photo."


@dataclass(slots=True)
class ExplainedResult(ImageResult):
    """The classes of one image and an explanation, with explain=cam."""

    explanation: Annotated[Explanation | None, Field(description="With explain=cam.")] = field(
        default=None
    )

    def to_json(self) -> str:
        # Without arguments, super() would look for the class that slots=True replaced.
        text = ImageResult.to_json(self)
        if self.explanation is None:
            return text
        return f'{{"explanation":{self.explanation.to_json()},{text[1:]}'


def explaining(
    classifier: Classifier,
    heads: LinearHeads,
    model: Model,
    path: Path,
    query: ExtraQuery,
) -> Callable[..., ExplainedResult]:
    """What takes the place of `Classifier.classify` for a request that asks why.

    `path` is the file of the model; of a taught head it is not read.

    Raises:
        BadQuery: the model does not have the class.
    """
    count = len(model.card.labels)
    if query.class_id is not None and query.class_id >= count:
        raise BadQuery(f"class_id: {model.name} has the classes 0 to {count - 1}.")
    return partial(_classify, classifier, heads=heads, path=path, query=query)


def _classify(
    classifier: Classifier,
    data: bytes,
    queue_ms: float = 0.0,
    decoded: Decoded | None = None,
    *,
    model: Model,
    resolution: int,
    top_k: int,
    heads: LinearHeads,
    path: Path,
    query: ExtraQuery,
) -> ExplainedResult:
    if model.state != "loaded":
        raise needs_model(model)
    started = time.perf_counter()
    region = None
    if decoded is None:
        decoded = classifier.decode(data, model, resolution)
        region = input_region(data, resolution, model.card.preprocessing)
    ready = time.perf_counter()
    model.used = True
    linear = heads.of(model, path)
    run = _run(model, linear, decoded.pixels)
    class_id = int(run.probabilities.argmax()) if query.class_id is None else query.class_id
    drawn = decoded.pixels if query.overlay else None
    explanation = _explanation(model, linear, run, class_id, region, drawn)
    inferred = time.perf_counter()
    helper_ms = decoded.helper_ms or 0.0
    return ExplainedResult(
        predictions=rank(run.probabilities, model.card.labels, top_k),
        queue_ms=round(queue_ms - helper_ms, 3),
        decode_ms=round((ready - started) * 1000 + helper_ms, 3),
        inference_ms=round((inferred - ready) * 1000, 3),
        warnings=list(decoded.warnings) or None,
        explanation=explanation,
    )


class _Run(NamedTuple):
    """What a model gives for one image; without a linear classifier only the probabilities."""

    probabilities: Float32Array  # [labels]
    logits: Float32Array | None = None  # [outputs], of the classifier
    features: Float32Array | None = None  # [C, h, w]
    length: float = 1.0  # that the classifier divides the pooled features by


def _run(model: Model, linear: LinearHead | None, pixels: Uint8Array) -> _Run:
    images = pixels[np.newaxis]
    if linear is None:
        return _Run(model.probabilities(images)[0])
    if isinstance(model, HeadModel):
        embedding, features = model.base.session.run([EMBEDDING, FEATURES], {INPUT: images})
        head, length = model.head, max(float(np.linalg.norm(embedding)), TINY)
        return _Run(
            head.probabilities(embedding)[0], head.logits(embedding)[0], features[0], length
        )
    outputs = model.session.run([PROBABILITIES, LOGITS, FEATURES], {INPUT: images})
    return _Run(*[output[0] for output in outputs])


def _explanation(
    model: Model,
    linear: LinearHead | None,
    run: _Run,
    class_id: int,
    region: Box | None,
    pixels: Uint8Array | None,
) -> Explanation:
    label = model.card.labels[class_id]
    if linear is None or run.features is None or run.logits is None:
        return Explanation(class_id, label, unavailable=DEEPER.format(model.name))
    if class_id >= len(run.logits):
        return Explanation(class_id, label, unavailable=NO_CLASS)
    at = linear.output_of(class_id, len(run.probabilities))
    weights, bias = linear.weights[at], float(linear.bias[at])
    if run.length != 1:
        weights = weights / run.length
    grid = class_map(run.features, weights, float(run.logits[at]) - bias)
    return Explanation.of(class_id, label, grid, bias, region, pixels)

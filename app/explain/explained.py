"""The classes of an image, and why the model found one of them."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from app.arrays import Float32Array, Uint8Array
from app.card.card import EMBEDDING, FEATURES, INPUT, PROBABILITIES
from app.errors import BadQuery
from app.explain.activation_map import class_map
from app.explain.explanation import Explanation
from app.explain.linear_heads import LinearHeads, NoMap
from app.explain.photo import input_region
from app.explain.query import ExtraQuery
from app.inference.classify import Classifier, rank
from app.inference.helper_decode import Decoded, needs_model
from app.inference.results import ImageResult
from app.model.head_model import HeadModel
from app.model.model import Model


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
        explained = self.explanation.model_dump_json(exclude_none=True)
        return f'{{"explanation":{explained},{text[1:]}'


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
    outputs = _run(model, decoded.pixels)
    probabilities = outputs[PROBABILITIES]
    class_id = int(probabilities.argmax()) if query.class_id is None else query.class_id
    label = model.card.labels[class_id]
    try:
        grid, bias = _map(model, class_id, outputs, heads, path)
    except NoMap as reason:
        explanation = Explanation(class_id=class_id, label=label, unavailable=str(reason))
    else:
        drawn = decoded.pixels if query.overlay else None
        explanation = Explanation.of(class_id, label, grid, bias, region, drawn)
    inferred = time.perf_counter()
    helper_ms = decoded.helper_ms or 0.0
    return ExplainedResult(
        predictions=rank(probabilities, model.card.labels, top_k),
        queue_ms=round(queue_ms - helper_ms, 3),
        decode_ms=round((ready - started) * 1000 + helper_ms, 3),
        inference_ms=round((inferred - ready) * 1000, 3),
        warnings=list(decoded.warnings) or None,
        explanation=explanation,
    )


def _run(model: Model, pixels: Uint8Array) -> dict[str, Float32Array]:
    """The outputs that a map is made of, for one image."""
    network = model.base if isinstance(model, HeadModel) else model
    offered = {output.name for output in network.session.get_outputs()}
    names = [name for name in (PROBABILITIES, EMBEDDING, FEATURES) if name in offered]
    values = network.session.run(names, {INPUT: pixels[np.newaxis]})
    outputs = {name: value[0] for name, value in zip(names, values, strict=True)}
    if isinstance(model, HeadModel):
        embeddings = outputs[EMBEDDING][np.newaxis]
        outputs[PROBABILITIES] = model.head.probabilities(embeddings)[0]
    return outputs


def _map(
    model: Model, class_id: int, outputs: dict[str, Float32Array], heads: LinearHeads, path: Path
) -> tuple[Float32Array, float]:
    """The map [h, w] of a class, and its bias.

    Raises:
        NoMap: there is none.
    """
    if FEATURES not in outputs or EMBEDDING not in outputs:
        raise NoMap(f"{model.name} does not end in pooled features and a linear classifier.")
    pooled = outputs[EMBEDDING]
    if isinstance(model, HeadModel):
        head = model.head
        if class_id >= len(head.bias):
            raise NoMap("Nothing speaks for `unknown`: it is what resembles no taught photo.")
        length = max(float(np.linalg.norm(pooled)), float(np.finfo(np.float32).tiny))
        weights, bias = head.weights[class_id] / length, float(head.bias[class_id])
    else:
        linear = heads.of(model, path)
        pooled = linear.seen(pooled)
        weights, bias = linear.row(class_id, len(model.card.labels))
    return class_map(outputs[FEATURES], pooled, weights), bias

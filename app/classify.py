"""The use case: images in, ranked labels and timings out."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.batching import Batcher
from app.errors import RequestError
from app.images import ImageLimits, load_image
from app.model import Floats, Model
from app.problem import to_problem
from app.schemas import ImageResult, Prediction
from app.timing import Timings


@dataclass(frozen=True, slots=True)
class Classifier:
    """Classifies encoded images, one at a time, on the thread that asks."""

    limits: ImageLimits
    reduced_decode: bool = True
    batcher: Batcher | None = None
    timings: Timings | None = None

    def classify(
        self, data: bytes, queue_ms: float = 0.0, *, model: Model, resolution: int, top_k: int
    ) -> ImageResult:
        """Decode, crop, resize, infer and rank one encoded image.

        Raises:
            ImageError: the bytes are not an image that can be classified.
        """
        started = time.perf_counter()
        pixels = load_image(
            data,
            resolution,
            model.card.preprocessing,
            self.limits,
            reduced_decode=self.reduced_decode,
        )
        decoded = time.perf_counter()
        if self.batcher is None or not model.any_batch:
            probabilities = model.probabilities(pixels[np.newaxis])[0]
        else:
            group = (model.session, resolution)
            probabilities = self.batcher.infer(group, pixels, model.probabilities)
        inferred = time.perf_counter()
        if self.timings is not None:
            self.timings.record(
                (model.card.name, resolution),
                len(data),
                (decoded - started) * 1000,
                (inferred - decoded) * 1000,
                inferred,
            )
        return ImageResult(
            predictions=rank(probabilities, model.card.labels, top_k),
            queue_ms=round(queue_ms, 3),
            decode_ms=round((decoded - started) * 1000, 3),
            inference_ms=round((inferred - decoded) * 1000, 3),
        )


def to_results(outcomes: Sequence[ImageResult | Exception]) -> list[ImageResult]:
    """One result an image: one bad image among several has its error in its place.

    Raises:
        ImageError: the only image is not one that can be classified.
    """
    if len(outcomes) == 1 and isinstance(outcomes[0], Exception):
        raise outcomes[0]
    return [_result(outcome) for outcome in outcomes]


def rank(probabilities: Floats, labels: Sequence[str], top_k: int) -> list[Prediction]:
    """The `top_k` most probable of [classes], most probable first, ties by class id."""
    order = np.argsort(-probabilities, kind="stable")[:top_k]
    return [
        Prediction(class_id=index, label=labels[index], probability=probabilities[index])
        for index in order.tolist()
    ]


def _result(outcome: ImageResult | Exception) -> ImageResult:
    if isinstance(outcome, ImageResult):
        return outcome
    if not isinstance(outcome, RequestError):
        raise outcome
    return ImageResult(
        predictions=[], queue_ms=0, decode_ms=0, inference_ms=0, error=to_problem(outcome)
    )

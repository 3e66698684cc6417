"""The use case: images in, ranked labels and timings out."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from app.errors import RequestError
from app.images import ImageLimits, load_image
from app.model import Floats, Model
from app.problem import to_problem
from app.scheduler import Scheduler, Ticket
from app.schemas import ImageResult, Prediction
from app.store import Store


@dataclass(frozen=True, slots=True)
class Classifier:
    """Classifies encoded images with the models of a store."""

    store: Store
    scheduler: Scheduler
    limits: ImageLimits
    reduced_decode: bool

    def submit(
        self, images: Sequence[bytes], model: Model, top_k: int, resolution: int
    ) -> Ticket[ImageResult]:
        """Queue images for one model, spread over all workers.

        Raises:
            Overloaded: too many images wait.
        """
        jobs = [partial(self._classify, image, model, resolution, top_k) for image in images]
        return self.scheduler.submit(jobs)

    def _classify(
        self, data: bytes, model: Model, resolution: int, top_k: int, queue_ms: float
    ) -> ImageResult:
        return classify_image(
            data, model, resolution, top_k, self.limits, self.reduced_decode, queue_ms
        )


def to_results(outcomes: Sequence[ImageResult | Exception]) -> list[ImageResult]:
    """One result an image: one bad image among several has its error in its place.

    Raises:
        ImageError: the only image is not one that can be classified.
    """
    if len(outcomes) == 1 and isinstance(outcomes[0], Exception):
        raise outcomes[0]
    return [_result(outcome) for outcome in outcomes]


def classify_image(
    data: bytes,
    model: Model,
    resolution: int,
    top_k: int,
    limits: ImageLimits,
    reduced_decode: bool = True,
    queue_ms: float = 0.0,
) -> ImageResult:
    """Classify one encoded image, here and now.

    Raises:
        ImageError: the bytes are not an image that can be classified.
    """
    started = time.perf_counter()
    pixels = load_image(
        data, resolution, model.card.preprocessing, limits, reduced_decode=reduced_decode
    )
    decoded = time.perf_counter()
    probabilities = model.probabilities(pixels[np.newaxis])[0]
    inferred = time.perf_counter()
    return ImageResult(
        predictions=rank(probabilities, model.card.labels, top_k),
        queue_ms=round(queue_ms, 3),
        decode_ms=round((decoded - started) * 1000, 3),
        inference_ms=round((inferred - decoded) * 1000, 3),
    )


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

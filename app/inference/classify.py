"""The use case: images in, ranked labels and timings out."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from app.card.card import PROBABILITIES
from app.errors import RequestError
from app.http.schemas import ImageResult, Prediction
from app.images.decode import AMPLE, ImageLimits, load_image
from app.images.decode_memory import Room
from app.inference.batching import Batcher, Image
from app.inference.timings import Timings
from app.model.model import Floats, Model
from app.problem import to_problem

FEW = 10  # so many highest are found sooner one by one: of 1000, 5 take 35 us and sorting takes 90


@dataclass(frozen=True, slots=True)
class ImageRun:
    """What a model gave for one image, one array [width] an output, and how long it took."""

    outputs: tuple[Floats, ...]
    queue_ms: float
    decode_ms: float
    inference_ms: float


@dataclass(frozen=True, slots=True)
class Classifier:
    """Classifies encoded images, one at a time, on the thread that asks."""

    limits: ImageLimits
    reduced_decode: bool = True
    batcher: Batcher | None = None
    timings: Timings | None = None
    room: Room = AMPLE

    def classify(
        self, data: bytes, queue_ms: float = 0.0, *, model: Model, resolution: int, top_k: int
    ) -> ImageResult:
        """Decode, crop, resize, infer and rank one encoded image.

        Raises:
            ImageError: the bytes are not an image that can be classified.
        """
        run = self.run(data, queue_ms, model=model, resolution=resolution)
        return ImageResult(
            predictions=rank(run.outputs[0], model.card.labels, top_k),
            queue_ms=round(run.queue_ms, 3),
            decode_ms=round(run.decode_ms, 3),
            inference_ms=round(run.inference_ms, 3),
        )

    def run(
        self,
        source: bytes | Image,
        queue_ms: float = 0.0,
        *,
        model: Model,
        resolution: int,
        outputs: tuple[str, ...] = (PROBABILITIES,),
    ) -> ImageRun:
        """Infer one image, encoded or as pixels [resolution, resolution, 3].

        Raises:
            ImageError: the bytes are not an image that can be classified.
        """
        started = time.perf_counter()
        pixels = self._decode(source, model, resolution) if isinstance(source, bytes) else source
        decoded = time.perf_counter()
        if self.batcher is None or not model.any_batch:
            row = model.run(outputs, pixels[np.newaxis])[0]
        else:
            group = (model.session, resolution, outputs)
            row = self.batcher.infer(group, pixels, partial(model.run, outputs))
        inferred = time.perf_counter()
        decode_ms, inference_ms = (decoded - started) * 1000, (inferred - decoded) * 1000
        if self.timings is not None and isinstance(source, bytes):
            kind = (model.card.name, resolution)
            self.timings.record(kind, len(source), decode_ms, inference_ms, inferred)
        return ImageRun(model.split(outputs, row), queue_ms, decode_ms, inference_ms)

    def _decode(self, data: bytes, model: Model, resolution: int) -> Image:
        return load_image(
            data,
            resolution,
            model.card.preprocessing,
            self.limits,
            reduced_decode=self.reduced_decode,
            room=self.room,
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
    return [
        Prediction(class_id=index, label=labels[index], probability=probabilities[index])
        for index in ranked(probabilities, top_k)
    ]


def ranked(values: Floats, count: int) -> list[int]:
    """Indices of the `count` highest of [width], highest first, ties by index."""
    if count > FEW:
        return np.argsort(-values, kind="stable")[:count].tolist()  # type: ignore[no-any-return]  # a list of int
    left = values.copy()
    order: list[int] = []
    for _ in range(min(count, len(left))):
        order.append(int(left.argmax()))
        left[order[-1]] = -np.inf
    return order


def _result(outcome: ImageResult | Exception) -> ImageResult:
    if isinstance(outcome, ImageResult):
        return outcome
    if not isinstance(outcome, RequestError):
        raise outcome
    return ImageResult(
        predictions=[], queue_ms=0, decode_ms=0, inference_ms=0, error=to_problem(outcome)
    )

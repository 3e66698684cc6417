"""Classification of an encoded image: its classes in descending order of probability."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from app.arrays import Float32Array, Uint8Array
from app.card.card import PROBABILITIES
from app.errors import RequestError
from app.images.decode import decode_square
from app.images.decode_memory import UNLIMITED, DecodeMemory
from app.images.helper_protocol import Helper
from app.images.limits import BeyondBounds, ImageLimits
from app.inference.batching import Batcher
from app.inference.helper_decode import Decoded, deferred, needs_model
from app.inference.results import ClassScore, ImageResult
from app.inference.timings import Timings
from app.model.model import Model
from app.problem import to_problem

# Up to here repeated argmax is faster than sorting: 35 instead of 90 us for 5 of 1000 classes.
MAX_ARGMAX = 10


@dataclass(frozen=True, slots=True)
class ImageRun:
    """The outputs of a model for one image, one array [width] each, and the time they took."""

    outputs: tuple[Float32Array, ...]
    queue_ms: float
    decode_ms: float
    inference_ms: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Classifier:
    """Classifies encoded images, one at a time, on the calling thread.

    With a `helper` it decodes only images whose structure bounds the time, and defers the others.
    `take_all_cores` says whether the image is alone, if its model has a session for that.
    """

    limits: ImageLimits
    reduced_decode: bool = True
    batcher: Batcher | None = None
    timings: Timings | None = None
    memory: DecodeMemory = UNLIMITED
    helper: Helper | None = None
    take_all_cores: Callable[[], bool] = bool  # False

    def classify(
        self,
        data: bytes,
        queue_ms: float = 0.0,
        decoded: Decoded | None = None,
        *,
        model: Model,
        resolution: int,
        top_k: int,
    ) -> ImageResult:
        """Decode, crop, resize, infer and rank one encoded image.

        Raises:
            ImageError: the bytes are not an image that can be classified.
            Deferred: the helper process has to decode it first.
        """
        run = self.run(data, queue_ms, decoded, model=model, resolution=resolution)
        return ImageResult(
            predictions=rank(run.outputs[0], model.card.labels, top_k),
            queue_ms=round(run.queue_ms, 3),
            decode_ms=round(run.decode_ms, 3),
            inference_ms=round(run.inference_ms, 3),
            warnings=list(run.warnings) or None,
        )

    def run(
        self,
        source: bytes | Uint8Array,
        queue_ms: float = 0.0,
        decoded: Decoded | None = None,
        *,
        model: Model,
        resolution: int,
        outputs: tuple[str, ...] = (PROBABILITIES,),
    ) -> ImageRun:
        """Run the model on one image, encoded or as pixels [resolution, resolution, 3].

        Raises:
            ImageError: the bytes are not an image that can be classified.
            Deferred: the helper process has to decode it first, or the model has to be loaded.
        """
        if model.state != "loaded":
            raise needs_model(model)
        started = time.perf_counter()
        if decoded is None:
            if isinstance(source, bytes):
                decoded = self.decode(source, model, resolution)
            else:
                decoded = Decoded(source)
        pixels, warnings, helper_ms = decoded
        ready = time.perf_counter()
        model.used = True
        wide = model.wide is not None and self.take_all_cores()
        if self.batcher is None or not model.any_batch:
            row = model.run(outputs, pixels[np.newaxis], wide=wide)[0]
        else:
            group = (model, resolution, outputs)
            row = self.batcher.infer(group, pixels, partial(model.run, outputs))
        inferred = time.perf_counter()
        decode_ms, inference_ms = (ready - started) * 1000, (inferred - ready) * 1000
        if helper_ms is not None:  # not a worker's time, which `auto` reckons with
            decode_ms, queue_ms = helper_ms, queue_ms - helper_ms
        elif self.timings is not None and isinstance(source, bytes):
            if wide:  # `auto` must not reckon with all cores
                self.timings.record_decode(len(source), resolution, decode_ms, inferred)
            else:
                variant = (model.card.name, resolution)
                self.timings.record(variant, len(source), decode_ms, inference_ms, inferred)
        return ImageRun(model.split(outputs, row), queue_ms, decode_ms, inference_ms, warnings)

    def decode(self, data: bytes, model: Model, resolution: int) -> Decoded:
        try:
            pixels, warnings = decode_square(
                data,
                resolution,
                model.card.preprocessing,
                self.limits,
                reduced_decode=self.reduced_decode,
                memory=self.memory,
                bounded=self.helper is not None,
            )
        except BeyondBounds:
            assert self.helper is not None  # noqa: S101  nothing is bounded without
            rule, reduced = model.card.preprocessing, self.reduced_decode
            raise deferred(self.helper, data, resolution, rule, reduced_decode=reduced) from None
        shape = (resolution, resolution, 3)
        return Decoded(np.ndarray(shape, np.uint8, pixels), warnings)


def to_results(outcomes: Sequence[ImageResult | Exception]) -> list[ImageResult]:
    """One result per image; if one of several images fails, its result is the error.

    Raises:
        ImageError: the only image cannot be classified.
    """
    if len(outcomes) == 1 and isinstance(outcomes[0], Exception):
        raise outcomes[0]
    return [_result(outcome) for outcome in outcomes]


def rank(probabilities: Float32Array, labels: Sequence[str], top_k: int) -> list[ClassScore]:
    """The `top_k` most probable of the classes [classes], in descending order, ties by id."""
    return [
        ClassScore(index, labels[index], float(probabilities[index]))
        for index in ranked(probabilities, top_k)
    ]


def ranked(values: Float32Array, count: int) -> list[int]:
    """Indices of the `count` highest of [width], in descending order, ties by index."""
    if count > MAX_ARGMAX:
        return np.argsort(-values, kind="stable")[:count].tolist()  # type: ignore[no-any-return]  # a list of int
    remaining = values.copy()
    order: list[int] = []
    for _ in range(min(count, len(remaining))):
        order.append(int(remaining.argmax()))
        remaining[order[-1]] = -np.inf
    return order


def _result(outcome: ImageResult | Exception) -> ImageResult:
    if isinstance(outcome, ImageResult):
        return outcome
    if not isinstance(outcome, RequestError):
        raise outcome
    return ImageResult(
        predictions=[], queue_ms=0.0, decode_ms=0.0, inference_ms=0.0, error=to_problem(outcome)
    )

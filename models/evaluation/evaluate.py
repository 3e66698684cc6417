"""How good and how fast models are on labelled photos, on the way that the service takes."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import median
from typing import Literal, cast, get_args

import numpy as np
from pydantic import ValidationError

from app.card.card import Interpolation, Measurement, Precision, Preprocessing
from app.errors import ImageError
from app.http.schemas import ImageResult
from app.images.decode import ImageLimits
from app.inference.classify import Classifier
from app.model.model import Model, load_model
from app.system.cores import usable_cores
from models.evaluation.score import TOP, Answer, calibration_error, wilson
from models.onnx_cost.graph_cost import graph_cost
from models.photos.labelled import Labelled
from models.quantization.core_time import core_ms

Decode = Literal["reduced", "full"]
OWN = "own"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Condition:
    """One way to answer: a loaded model, how large it looks, how photos become squares."""

    model: Model
    path: Path
    resolution: int
    decode: Decode
    preprocessing: Preprocessing

    @property
    def crop(self) -> str:
        """The preprocessing in one word, as `parse_preprocessing` reads it."""
        one = self.preprocessing
        return f"{one.resize}:{one.interpolation}:{one.crop_fraction:g}"

    @property
    def title(self) -> str:
        return f"{self.model.name} at {self.resolution}, {self.decode}, {self.crop}"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one condition came to.

    `images_per_s` and `decode_ms`, a median, are of the run on every core; `inference_ms` is one
    image on one core.
    """

    condition: Condition
    answers: dict[Path, Answer]
    damaged: dict[Path, str]
    images_per_s: float
    decode_ms: float
    inference_ms: float


@dataclass(frozen=True, slots=True)
class Row:
    """What is told of an evaluation; the fields are the columns of the CSV and the keys in JSON.

    Accuracy and `same_first_class`, None where no photo is common, are in percent, the bounds are
    those of the 95 % interval; `calibration_error` is a share of 1, `resolution` is in pixels.
    """

    model: str
    precision: Precision
    resolution: int
    decode: Decode
    preprocessing: str
    images: int
    damaged: int
    top1: float
    top1_low: float
    top1_high: float
    top5: float
    top5_low: float
    top5_high: float
    calibration_error: float
    same_first_class: float | None
    images_per_s: float
    decode_ms: float
    inference_ms: float
    madds: int

    def measurement(self, photos: str) -> Measurement:
        """What a model's card keeps of it; `photos` is their name."""
        return Measurement(
            resolution=self.resolution,
            top1=self.top1,
            top5=self.top5,
            images=self.images,
            photos=photos,
        )


def parse_preprocessing(text: str, own: Preprocessing) -> Preprocessing:
    """Read `RESIZE[:INTERPOLATION[:CROP_FRACTION]]`; what is left out is the model's own.

    Raises:
        ValueError: a part is not one that there is.
    """
    if text == OWN:
        return own
    parts = text.split(":")
    names = ("resize", "interpolation", "crop_fraction")
    try:
        if not parts[0] or len(parts) > len(names):
            raise ValueError("no such form")
        changes = {name: part for name, part in zip(names, parts, strict=False) if part}
        return Preprocessing.model_validate(own.model_dump() | changes)
    except (ValidationError, ValueError) as error:
        raise ValueError(
            f"preprocessing {text!r} is not {OWN} or RESIZE[:INTERPOLATION[:CROP_FRACTION]] with "
            f"shortest_edge or central_crop, {', '.join(get_args(Interpolation))}, and a share "
            "of the side up to 1"
        ) from error


def conditions(
    paths: Iterable[Path],
    resolutions: Sequence[int],
    decodes: Sequence[str],
    preprocessings: Sequence[str],
) -> Iterator[Condition]:
    """Every combination; no resolution stands for the trained one.

    Raises:
        GatewayError: a model cannot be loaded or does not take a resolution.
        ValueError: a way of decoding or a preprocessing is unknown.
    """
    if unknown := [name for name in decodes if name not in get_args(Decode)]:
        raise ValueError(f"decode is {unknown[0]!r}; it has to be full or reduced")
    for path in paths:
        model = load_model(path)
        sides = [model.check_resolution(side) for side in resolutions] or [model.card.resolution]
        for side, decode, text in product(sides, decodes, preprocessings):
            preprocessing = parse_preprocessing(text, model.card.preprocessing)
            yield Condition(model, path, side, cast(Decode, decode), preprocessing)


def evaluate(
    condition: Condition, photos: Sequence[Labelled], limits: ImageLimits, progress: Progress
) -> Evaluation:
    """Classify every photo as the service does: one thread a core, one image a thread.

    Raises:
        ValueError: none of the photos can be classified.
    """
    card = condition.model.card.model_copy(update={"preprocessing": condition.preprocessing})
    model = replace(condition.model, card=card)
    classifier = Classifier(limits, reduced_decode=condition.decode == "reduced")
    side, done = condition.resolution, 0

    def classify(photo: Labelled) -> ImageResult | str:
        nonlocal done
        try:
            data = photo.path.read_bytes()
            return classifier.classify(data, model=model, resolution=side, top_k=TOP)
        except ImageError as error:
            return error.detail
        except OSError as error:
            return error.strerror or str(error)
        finally:
            done += 1  # a bar that is one off now and then does no harm
            progress(condition.title, done, len(photos))

    started = time.perf_counter()
    with ThreadPoolExecutor(usable_cores().count) as pool:
        outcomes = list(pool.map(classify, photos))
    elapsed_s = time.perf_counter() - started
    results = [
        (photo, result)
        for photo, result in zip(photos, outcomes, strict=True)
        if isinstance(result, ImageResult)
    ]
    damaged = {
        photo.path: result
        for photo, result in zip(photos, outcomes, strict=True)
        if isinstance(result, str)
    }
    if not results:
        path, reason = next(iter(damaged.items()))
        raise ValueError(f"none of the photos can be classified; {path}: {reason}")
    return Evaluation(
        condition,
        {photo.path: _answer(result, photo.class_id) for photo, result in results},
        damaged,
        images_per_s=len(results) / elapsed_s,
        decode_ms=median(result.decode_ms for _, result in results),
        inference_ms=core_ms([model.session], [np.zeros((1, side, side, 3), np.uint8)])[0],
    )


def _answer(result: ImageResult, class_id: int) -> Answer:
    ranked = [prediction.class_id for prediction in result.predictions]
    return Answer(
        ranked[0], result.predictions[0].probability, ranked[0] == class_id, class_id in ranked
    )


def row(found: Evaluation, reference: Evaluation) -> Row:
    """The row of an evaluation; `reference` is the one that first classes are compared with."""
    condition, answers = found.condition, list(found.answers.values())
    top1 = wilson(sum(answer.right for answer in answers), len(answers))
    top5 = wilson(sum(answer.right_in_top5 for answer in answers), len(answers))
    both = found.answers.keys() & reference.answers.keys()
    same = sum(found.answers[path].first == reference.answers[path].first for path in both)
    return Row(
        model=condition.model.name,
        precision=condition.model.card.precision,
        resolution=condition.resolution,
        decode=condition.decode,
        preprocessing=condition.crop,
        images=len(answers),
        damaged=len(found.damaged),
        top1=round(100 * top1.share, 2),
        top1_low=round(100 * top1.low, 2),
        top1_high=round(100 * top1.high, 2),
        top5=round(100 * top5.share, 2),
        top5_low=round(100 * top5.low, 2),
        top5_high=round(100 * top5.high, 2),
        calibration_error=round(calibration_error(answers), 4),
        same_first_class=round(100 * same / len(both), 2) if both else None,
        images_per_s=round(found.images_per_s, 1),
        decode_ms=round(found.decode_ms, 3),
        inference_ms=round(found.inference_ms, 3),
        madds=graph_cost(condition.path, condition.resolution).madds,
    )

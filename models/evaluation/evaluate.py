"""Accuracy and speed of models on labelled photos, classified as the service does."""

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import median
from typing import Literal, cast, get_args

import numpy as np

from app.card.card import Interpolation, Measurement, Precision, Preprocessing
from app.errors import ImageError
from app.images.limits import ImageLimits
from app.inference.classify import Classifier
from app.inference.results import ImageResult
from app.model.model import Model, load_model
from app.system.cores import usable_cores
from models.evaluation.score import TOP_K, Outcome, calibration_error, wilson
from models.onnx_cost.graph_cost import graph_cost
from models.photos.labelled import LabelledPhoto
from models.progress import Progress
from models.quantization.core_time import core_ms

Decode = Literal["reduced", "full"]
MODEL_PREPROCESSING = "own"


@dataclass(frozen=True, slots=True)
class Condition:
    model: Model
    path: Path
    resolution: int
    decode: Decode
    preprocessing: Preprocessing

    @property
    def preprocessing_text(self) -> str:
        """The preprocessing in the form that `parse_preprocessing` reads."""
        each = self.preprocessing
        return f"{each.resize}:{each.interpolation}:{each.crop_fraction:g}"

    @property
    def title(self) -> str:
        return f"{self.model.name} at {self.resolution}, {self.decode}, {self.preprocessing_text}"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Results of one condition.

    `images_per_s` and the median `decode_ms` come from the run on all cores; `inference_ms` is for
    one image on one core.
    """

    condition: Condition
    outcomes: dict[Path, Outcome]
    damaged: dict[Path, str]
    images_per_s: float
    decode_ms: float
    inference_ms: float


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """One evaluation as printed; the fields are the columns of the CSV and the keys in JSON.

    Accuracy is in percent with the bounds of its 95 % confidence interval. `top1_agreement` is
    the top-1 agreement with the reference in percent, None without common photos.
    `calibration_error` is from 0 to 1.
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
    top1_agreement: float | None
    images_per_s: float
    decode_ms: float
    inference_ms: float
    madds: int

    def measurement(self, photos: str) -> Measurement:
        """The measurement for a model's card; `photos` is the name of the photo collection."""
        return Measurement(
            resolution=self.resolution,
            top1=self.top1,
            top5=self.top5,
            images=self.images,
            photos=photos,
        )


def parse_preprocessing(text: str, own: Preprocessing) -> Preprocessing:
    """Parse `RESIZE[:INTERPOLATION[:CROP_FRACTION]]`; `own` provides missing parts.

    Raises:
        ValueError: a part is unknown or out of range.
    """
    if text == MODEL_PREPROCESSING:
        return own
    parts = text.split(":")
    names = ("resize", "interpolation", "crop_fraction")
    try:
        if not parts[0] or len(parts) > len(names):
            raise ValueError("wrong number of parts")
        changes = {name: part for name, part in zip(names, parts, strict=False) if part}
        return Preprocessing.model_validate(own.model_dump() | changes)
    except ValueError as error:
        raise ValueError(
            f"Unknown preprocessing {text!r}. Supported: {MODEL_PREPROCESSING}, or "
            "RESIZE[:INTERPOLATION[:CROP_FRACTION]] with shortest_edge or central_crop, "
            f"{', '.join(get_args(Interpolation))}, and a fraction up to 1."
        ) from error


def conditions(
    paths: Iterable[Path],
    resolutions: Sequence[int],
    decodes: Sequence[str],
    preprocessings: Sequence[str],
) -> Iterator[Condition]:
    """Every combination; without `resolutions`, each model has its trained one.

    Raises:
        GatewayError: a model cannot be loaded or does not support a resolution.
        ValueError: a decode or a preprocessing is unknown.
    """
    if unknown := [name for name in decodes if name not in get_args(Decode)]:
        raise ValueError(f"Unknown decode {unknown[0]!r}. Supported: full, reduced.")
    for path in paths:
        model = load_model(path)
        sides = [model.check_resolution(side) for side in resolutions] or [model.card.resolution]
        for side, decode, text in product(sides, decodes, preprocessings):
            preprocessing = parse_preprocessing(text, model.card.preprocessing)
            yield Condition(model, path, side, cast(Decode, decode), preprocessing)


def evaluate(
    condition: Condition, photos: Sequence[LabelledPhoto], limits: ImageLimits, progress: Progress
) -> Evaluation:
    """Classify every photo with one thread per core and one image per thread.

    Raises:
        ValueError: no photo can be classified.
    """
    card = condition.model.card.model_copy(update={"preprocessing": condition.preprocessing})
    model = replace(condition.model, card=card)
    classifier = Classifier(limits, reduced_decode=condition.decode == "reduced")
    side, done = condition.resolution, 0

    def classify(photo: LabelledPhoto) -> ImageResult | str:
        nonlocal done
        try:
            data = photo.path.read_bytes()
            return classifier.classify(data, model=model, resolution=side, top_k=TOP_K)
        except ImageError as error:
            return error.detail
        except OSError as error:
            return error.strerror or str(error)
        finally:
            done += 1  # a lost increment only affects the progress bar
            progress(condition.title, done, len(photos))

    started = time.perf_counter()
    with ThreadPoolExecutor(usable_cores().count) as pool:
        classified = list(zip(photos, pool.map(classify, photos), strict=True))
    elapsed_s = time.perf_counter() - started
    results = [(photo, found) for photo, found in classified if isinstance(found, ImageResult)]
    damaged = {photo.path: found for photo, found in classified if isinstance(found, str)}
    if not results:
        path, reason = next(iter(damaged.items()))
        raise ValueError(f"No photo can be classified; {path}: {reason}")
    return Evaluation(
        condition,
        {photo.path: _outcome(result, photo.class_id) for photo, result in results},
        damaged,
        images_per_s=len(results) / elapsed_s,
        decode_ms=median(result.decode_ms for _, result in results),
        inference_ms=core_ms([model.session], [np.zeros((1, side, side, 3), np.uint8)])[0],
    )


def _outcome(result: ImageResult, class_id: int) -> Outcome:
    top1, *_ = result.predictions
    return Outcome(
        top1=top1.class_id,
        confidence=top1.probability,
        correct=top1.class_id == class_id,
        correct_in_top5=any(each.class_id == class_id for each in result.predictions),
    )


def evaluation_row(found: Evaluation, reference: Evaluation) -> EvaluationRow:
    """Summarise an evaluation; top-1 agreement is with `reference`."""
    condition, outcomes = found.condition, list(found.outcomes.values())
    top1 = wilson(sum(outcome.correct for outcome in outcomes), len(outcomes))
    top5 = wilson(sum(outcome.correct_in_top5 for outcome in outcomes), len(outcomes))
    common = found.outcomes.keys() & reference.outcomes.keys()
    same = sum(found.outcomes[path].top1 == reference.outcomes[path].top1 for path in common)
    return EvaluationRow(
        model=condition.model.name,
        precision=condition.model.card.precision,
        resolution=condition.resolution,
        decode=condition.decode,
        preprocessing=condition.preprocessing_text,
        images=len(outcomes),
        damaged=len(found.damaged),
        top1=round(100 * top1.share, 2),
        top1_low=round(100 * top1.low, 2),
        top1_high=round(100 * top1.high, 2),
        top5=round(100 * top5.share, 2),
        top5_low=round(100 * top5.low, 2),
        top5_high=round(100 * top5.high, 2),
        calibration_error=round(calibration_error(outcomes), 4),
        top1_agreement=round(100 * same / len(common), 2) if common else None,
        images_per_s=round(found.images_per_s, 1),
        decode_ms=round(found.decode_ms, 3),
        inference_ms=round(found.inference_ms, 3),
        madds=graph_cost(condition.path, condition.resolution).madds,
    )


def varying_fields(rows: Sequence[EvaluationRow], names: Iterable[str]) -> list[str]:
    """Those of the named fields whose values differ between the rows."""
    return [name for name in names if len({getattr(one, name) for one in rows}) > 1]

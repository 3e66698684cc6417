"""The usual scalings of pixels, and which of them is right for labelled photos."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path

import numpy as np

from app.arrays import Float32Array, Uint8Array
from app.card.card import Preprocessing
from app.errors import ImageError
from app.images.decode import load_image
from app.images.limits import ImageLimits
from models.export.graph import InputScaling
from models.importing.checks import Refused
from models.photos.labelled import LabelledPhoto, read_labelled
from models.progress import Progress, StepCounter

CENTRED = InputScaling((0.5,) * 3, (0.5,) * 3)
UNIT = InputScaling((0.0,) * 3, (1.0,) * 3)
PIXELS = InputScaling((0.0,) * 3, (0.00392157,) * 3)  # 1 / 255, as it is typed
IMAGENET = InputScaling((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
USUAL = {
    "-1 ... 1": CENTRED,
    "0 ... 1, pixel / 255": UNIT,
    "0 ... 255": PIXELS,
    "ImageNet's mean and deviation, as in PyTorch": IMAGENET,
}
MAX_PHOTOS = 500
CHANCE = 0.01  # that luck alone makes a way better than another


@dataclass(frozen=True, slots=True)
class Way:
    """A way to feed a network; `scaling` is None for one that takes pixels as they are."""

    name: str
    scaling: InputScaling | None
    bgr: bool

    @property
    def arguments(self) -> str:
        """The options that choose it."""
        scaling = [] if self.scaling is None else [scaling_arguments(self.scaling)]
        return " ".join([*scaling, "--bgr" if self.bgr else "--rgb"])

    @property
    def title(self) -> str:
        return f"{self.name}; {'blue, green, red' if self.bgr else 'red, green, blue'}"


@dataclass(frozen=True, slots=True)
class Trial:
    """A way, and for each photo whether the network was right."""

    way: Way
    correct: tuple[bool, ...]

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy in percent."""
        return 100 * sum(self.correct) / len(self.correct)


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """Labelled photos as the network sees them, uint8 [side, side, 3], and their classes."""

    images: Sequence[Uint8Array]
    classes: Sequence[int]

    @property
    def most_frequent(self) -> float:
        """Accuracy in percent of the answer that is always the most frequent class."""
        return 100 * max(Counter(self.classes).values()) / len(self.classes)


def scaling_arguments(scaling: InputScaling) -> str:
    """The options that state a scaling."""
    parts = (("--mean", scaling.mean), ("--std", scaling.std))
    return " ".join(f"{name} {_numbers(values)}" for name, values in parts)


def text_of(trial: Trial) -> str:
    """The accuracy of a way, for a question or a report."""
    return f"{trial.accuracy:.1f} % of {len(trial.correct)} photos: {trial.way.title}"


def ways(scalings: Iterable[tuple[str, InputScaling | None]], orders: Iterable[bool]) -> list[Way]:
    """Every scaling with every order of channels."""
    return [Way(name, scaling, bgr) for name, scaling in scalings for bgr in orders]


def read_photos(
    source: Path,
    labels: Sequence[str],
    side: int,
    preprocessing: Preprocessing,
    limits: ImageLimits,
) -> LabelledImages:
    """Labelled photos, at most `MAX_PHOTOS`, spread evenly over the sorted names.

    Raises:
        Refused: there are none, a label is unknown, or an image is damaged.
    """
    try:
        photos = read_labelled(source, labels)
        count = min(MAX_PHOTOS, len(photos))
        chosen = [photos[at * len(photos) // count] for at in range(count)]
        images = [_pixels(photo, side, preprocessing, limits) for photo in chosen]
    except ValueError as error:
        raise Refused(f"--photos: {error}") from error
    return LabelledImages(images, [photo.class_id for photo in chosen])


def try_ways(
    candidates: Sequence[Way],
    photos: LabelledImages,
    network: Callable[[Way], Callable[[Uint8Array], Float32Array]],
    progress: Progress,
) -> list[Trial]:
    """Classify every photo in every way, the most accurate way first.

    `network` gives the scores [1, classes] of an image [1, side, side, 3].
    """
    step = StepCounter(progress, "Trying scalings", len(candidates) * len(photos.images))
    trials = []
    for way in candidates:
        scores, correct = network(way), []
        for image, class_id in zip(photos.images, photos.classes, strict=True):
            correct.append(int(np.argmax(scores(image[None])[0])) == class_id)
            step()
        trials.append(Trial(way, tuple(correct)))
    return sorted(trials, key=lambda trial: (-sum(trial.correct), trial.way.bgr))


def not_worse(trials: Sequence[Trial]) -> list[Trial]:
    """The best way, and those that it does not clearly beat.

    A way is clearly beaten if, of the photos on which only one of the two is right, the best one is
    right on more than luck would be in 99 of 100 cases (sign test). Red, green, blue needs no proof
    against the reversed order of the same scaling: it is presumed anyway.
    """
    best, *others = trials
    return [best, *(one for one in others if not _presumed(best, one) and not _beats(best, one))]


def _presumed(best: Trial, other: Trial) -> bool:
    return best.way.scaling == other.way.scaling and not best.way.bgr


def _beats(best: Trial, other: Trial) -> bool:
    pairs = list(zip(best.correct, other.correct, strict=True))
    wins = sum(mine and not theirs for mine, theirs in pairs)
    decided = sum(mine != theirs for mine, theirs in pairs)
    luck = sum(comb(decided, more) for more in range(wins, decided + 1)) / 2**decided
    return bool(luck < CHANCE)


def _pixels(
    photo: LabelledPhoto, side: int, preprocessing: Preprocessing, limits: ImageLimits
) -> Uint8Array:
    try:
        return load_image(photo.path.read_bytes(), side, preprocessing, limits)
    except ImageError as error:
        raise ValueError(f"{photo.path}: {error.detail}") from error


def _numbers(values: Sequence[float]) -> str:
    shown = values[:1] if len(set(values)) == 1 else values
    return ",".join(f"{value:g}" for value in shown)

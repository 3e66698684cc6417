"""Hold a translated graph against the framework that the file was made for."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.importing.checks import Refused
from models.importing.graph.inspect_graph import Scores
from models.importing.graph.verify import Original, judged_images, to_probabilities

FLOAT_TOLERANCE = 1e-4
# A network with random weights multiplies rounding errors, and then its own framework moves by more
# than that if the last digit of the input does. Each layer rounds anew, hence the factor.
UNSTEADY_TOLERANCE = 1e-3
TIMES_UNSTEADY = 3
LAST_DIGIT = 2e-7


class Judge(Protocol):
    """The framework that a file was made for, as the judge of what it is translated to.

    `rounds_at_run_time` tells that it rounds activations by the range that they have in each run;
    `advice` is the way out where answers differ for another reason, if there is a usual one.
    """

    name: str
    tolerance: float
    advice: str
    rounds_at_run_time: bool

    def scores(self, fed: NDArray[Any]) -> NDArray[Any]:
        """The file's own scores, one row an image, for inputs as the translation takes them."""


def check_answers(judge: Judge, original: Original, resolution: int, kind: Scores) -> float:
    """The largest difference between probabilities of a translated graph and those of its file.

    Raises:
        Refused: they differ.
    """
    pixels = judged_images(resolution, plain_noise=judge.rounds_at_run_time)
    fed = original.fed(pixels)
    found = to_probabilities(original.answers(pixels)[0], kind)
    expected = to_probabilities(judge.scores(fed), kind)
    difference = float(abs(expected - found).max())
    tolerance = judge.tolerance
    if tolerance == FLOAT_TOLERANCE < difference and fed.dtype == np.float32:
        unsteady = TIMES_UNSTEADY * _unsteadiness(judge, fed, expected, kind)
        tolerance = float(np.clip(unsteady, FLOAT_TOLERANCE, UNSTEADY_TOLERANCE))
    if not difference <= tolerance:
        text = (
            f"The translated graph is {difference:.2g} off what {judge.name} answers, so it is not "
            "adopted."
        )
        if judge.rounds_at_run_time:
            text += _rounding_at_run_time(judge, fed, expected, kind)
        raise Refused(f"{text} {judge.advice}".rstrip())
    top = np.sort(expected, axis=1)[:, -2:]
    clear = np.ptp(top, axis=1) > tolerance
    if (expected.argmax(axis=1) != found.argmax(axis=1))[clear].any():
        raise Refused(
            f"The translated graph finds another class than {judge.name}, so it is not adopted."
        )
    return difference


def _unsteadiness(
    judge: Judge, fed: NDArray[Any], expected: NDArray[np.float32], kind: Scores
) -> float:
    """How far a judge is off itself where its input changes in the last digit."""
    noise = np.random.default_rng(0).uniform(-LAST_DIGIT, LAST_DIGIT, fed.shape)
    moves = [1 + LAST_DIGIT, 1 - LAST_DIGIT, 1 + noise]
    moved = [
        to_probabilities(judge.scores((fed * move).astype(np.float32)), kind) for move in moves
    ]
    return max(float(abs(scores - expected).max()) for scores in moved)


def _rounding_at_run_time(
    judge: Judge, fed: NDArray[Any], expected: NDArray[np.float32], kind: Scores
) -> str:
    """How far a judge is off itself, and the way out."""
    unsteady = _unsteadiness(judge, fed, expected, kind)
    return (
        f" {judge.name} rounds the activations of this file by their range in each run, and is "
        f"itself {unsteady:.2g} off where its input changes in the last digit. Convert the model "
        "without optimizations, or with a representative dataset."
    )

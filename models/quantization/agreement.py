"""How far the answers of one model are from those of another."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.arrays import Float32Array, Uint8Array
from app.card.card import INPUT, PROBABILITIES
from app.system.cores import usable_cores

Progress = Callable[[], None]

LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of a model with the one that it was made of, over `images` pictures.

    same_first_class        how many have the same first class
    probability_difference  mean absolute difference of the probability of the reference's first
    divergence              mean Kullback-Leibler divergence from the reference, in nats
    """

    images: int
    same_first_class: int
    probability_difference: float
    divergence: float

    @property
    def share(self) -> float:
        return self.same_first_class / self.images


def probabilities(
    session: Any, images: Sequence[Uint8Array], done: Progress = lambda: None
) -> Float32Array:
    """Answers [len(images), classes] to images [1, H, W, 3], on every core."""

    def run(image: Uint8Array) -> Float32Array:
        [answer] = session.run([PROBABILITIES], {INPUT: image})
        done()
        return answer  # type: ignore[no-any-return]  # onnxruntime has no types

    with ThreadPoolExecutor(usable_cores().count) as pool:
        return np.concatenate(list(pool.map(run, images)))


def agreement(reference: Float32Array, answers: Float32Array) -> Agreement:
    """Compare answers [images, classes] with those of the reference."""
    rows, first = np.arange(len(reference)), reference.argmax(axis=1)
    before, after = (np.maximum(one, LEAST_PROBABILITY) for one in (reference, answers))
    return Agreement(
        images=len(reference),
        same_first_class=int((answers.argmax(axis=1) == first).sum()),
        probability_difference=float(np.abs(answers[rows, first] - reference[rows, first]).mean()),
        divergence=float((before * np.log(before / after)).sum(axis=1).mean()),
    )

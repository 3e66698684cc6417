"""Agreement between the probabilities of two models."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.arrays import Float32Array, Uint8Array
from app.card.card import INPUT, PROBABILITIES
from app.system.cores import usable_cores

MIN_PROBABILITY = 1e-12


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of a model with its reference over `images` images.

    same_top1               number of images with the same top-1 class
    probability_difference  mean absolute difference of the probability of the reference's top-1
    divergence              mean Kullback-Leibler divergence from the reference, in nats
    """

    images: int
    same_top1: int
    probability_difference: float
    divergence: float

    @property
    def top1_agreement(self) -> float:
        """Top-1 agreement from 0 to 1."""
        return self.same_top1 / self.images


def probabilities(session: Any, images: Sequence[Uint8Array]) -> Float32Array:
    """Run images [1, H, W, 3] on all cores; return [len(images), classes]."""

    def run(image: Uint8Array) -> Float32Array:
        [scores] = session.run([PROBABILITIES], {INPUT: image})
        return scores  # type: ignore[no-any-return]  # onnxruntime has no types

    with ThreadPoolExecutor(usable_cores().count) as pool:
        return np.concatenate(list(pool.map(run, images)))


def agreement(reference: Float32Array, compared: Float32Array) -> Agreement:
    """Compare probabilities [images, classes] with those of the reference."""
    rows, top1 = np.arange(len(reference)), reference.argmax(axis=1)
    p, q = (np.maximum(each, MIN_PROBABILITY) for each in (reference, compared))
    return Agreement(
        images=len(reference),
        same_top1=int((compared.argmax(axis=1) == top1).sum()),
        probability_difference=float(np.abs(compared[rows, top1] - reference[rows, top1]).mean()),
        divergence=float((p * np.log(p / q)).sum(axis=1).mean()),
    )

"""The Pareto frontier: the variants that no other one beats, and what beats the rest.

One variant beats another if it is at least as good in accuracy, multiply-adds, parameters, memory
and milliseconds, and better in one of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from app.card.variant import Key, Variant

FIGURES = 5


@dataclass(frozen=True, slots=True)
class Standing:
    """A variant and, if it is not on the frontier, the most accurate one that beats it."""

    variant: Variant
    inference_ms: float | None
    beaten_by: Variant | None

    @property
    def on_frontier(self) -> bool:
        return self.beaten_by is None


def frontier(variants: Sequence[Variant], milliseconds: Mapping[Key, float]) -> list[Standing]:
    """The standing of every variant, most accurate first, then by cost.

    A variant of unknown time or accuracy counts as slowest or least accurate, so that it never
    beats another one by a figure that nobody measured.
    """
    figures = {
        variant.key: _figures(variant, milliseconds.get(variant.key)) for variant in variants
    }
    ranked = sorted(variants, key=lambda variant: figures[variant.key])
    standings = []
    # What beats a variant comes before it, and the first that does is on the frontier itself.
    best: list[Variant] = []
    best_figures = np.empty((len(ranked), FIGURES))
    for variant in ranked:
        own = np.array(figures[variant.key])
        known = best_figures[: len(best)]
        beating = (known <= own).all(axis=1) & (known < own).any(axis=1)
        beaten_by = best[int(beating.argmax())] if beating.any() else None
        standings.append(Standing(variant, milliseconds.get(variant.key), beaten_by))
        if beaten_by is None:
            best_figures[len(best)] = own
            best.append(variant)
    return standings


def _figures(variant: Variant, inference_ms: float | None) -> tuple[float, ...]:
    """The figures to compare, accuracy first; smaller is better."""
    return (
        -variant.top1.percent if variant.top1 else inf,
        inf if inference_ms is None else inference_ms,
        variant.madds,
        variant.params,
        variant.memory_bytes,
    )

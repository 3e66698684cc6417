"""The Pareto frontier: the variants that no other one beats, and what beats the rest.

One variant beats another if it is at least as good in accuracy, multiply-adds, parameters, memory
and milliseconds, and better in one of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from app.card.variant import Key, Variant


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
    for variant in ranked:
        own = figures[variant.key]
        better = (other for other in ranked if beats(figures[other.key], own))
        standings.append(Standing(variant, milliseconds.get(variant.key), next(better, None)))
    return standings


def beats(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether `one` is no worse in any figure and better in one; smaller is better."""
    return all(a <= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)


def _figures(variant: Variant, inference_ms: float | None) -> tuple[float, ...]:
    """The figures to compare, accuracy first; smaller is better."""
    return (
        -variant.top1.percent if variant.top1 else inf,
        inf if inference_ms is None else inference_ms,
        variant.madds,
        variant.params,
        variant.memory_bytes,
    )

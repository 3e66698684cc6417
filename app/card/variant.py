"""A variant: a loaded model at one of its resolutions. `model=auto` chooses among them."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from app.card.accuracy import Top1, top1
from app.card.card import Family, ModelCard, Precision
from app.card.cost_at import scaled_cost
from app.errors import BadQuery

Key = tuple[str, int]  # name of the model, resolution


@dataclass(frozen=True, slots=True)
class Variant:
    """A model at a resolution, with all that is known before it runs.

    `memory_bytes` is the memory for serving it on one thread: the file with its weights, and the
    peak of live activations.
    """

    model: str
    family: Family
    resolution: int
    precision: Precision
    top1: Top1 | None
    params: int
    madds: int
    activation_bytes: int  # of all layers together: all that one run writes
    memory_bytes: int

    @property
    def key(self) -> Key:
        return self.model, self.resolution

    @property
    def by_accuracy(self) -> tuple[float, bool]:
        """Sort key: the most accurate first, an interpolated figure after an equal one."""
        if self.top1 is None:
            return inf, True
        return -self.top1.percent, self.top1.basis == "interpolated"

    @property
    def name(self) -> str:
        """Name for people; the one in the model's own name is the trained resolution."""
        return f"{self.model}@{self.resolution}"


def variants_of(card: ModelCard, weight_bytes: int, resolutions: Iterable[int]) -> list[Variant]:
    """A card's model at its trained resolution and at the smaller `resolutions`, largest first.

    Larger ones are left out: they cost more, and no published figure says what they gain.
    """
    smaller = {side for side in resolutions if side < card.resolution and side in card.resolutions}
    found = []
    for side in sorted({card.resolution, *smaller}, reverse=True):
        try:
            cost = scaled_cost(card, side)
        except BadQuery:  # the graph may run there, but its cost is unknown
            continue
        variant = Variant(
            model=card.name,
            family=card.family,
            resolution=side,
            precision=card.precision,
            top1=top1(card, side),
            params=card.cost.params,
            madds=cost.madds,
            activation_bytes=cost.activation_bytes,
            memory_bytes=weight_bytes + cost.peak_activation_bytes,
        )
        found.append(variant)
    return found

"""What `model=auto` chooses among: a loaded model at one of its resolutions."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from app.card.accuracy import Top1, top1
from app.card.card import ModelCard, Precision
from app.card.cost_at import dial
from app.errors import BadQuery

if TYPE_CHECKING:
    from app.model.model import Model  # brings onnxruntime, which settings and tables do without

Key = tuple[str, int]  # name of the model, resolution


@dataclass(frozen=True, slots=True)
class Variant:
    """A model at a resolution, with all that is known of it before it runs.

    `memory_bytes` is what it needs to be served on one thread: its weights as stored, and the most
    that live activations take at once.
    """

    model: str
    resolution: int
    precision: Precision
    top1: Top1 | None
    params: int
    madds: int
    activation_bytes: int  # all that one run writes
    memory_bytes: int

    @property
    def key(self) -> Key:
        return self.model, self.resolution

    @property
    def by_accuracy(self) -> tuple[float, bool]:
        """Sorts the most accurate first; of equals, one whose figure is not interpolated."""
        if self.top1 is None:
            return inf, True
        return -self.top1.percent, self.top1.basis == "interpolated"

    @property
    def name(self) -> str:
        """For people; the model's own name has the resolution that it was trained at."""
        return f"{self.model}@{self.resolution}"


def variant_of(card: ModelCard, file_bytes: int, resolution: int) -> Variant:
    """A card's model at `resolution`.

    Raises:
        BadQuery: the graph does not take it, or its cost there cannot be told.
    """
    cost = dial(card, resolution)
    return Variant(
        model=card.name,
        resolution=resolution,
        precision=card.precision,
        top1=top1(card, resolution),
        params=card.cost.params,
        madds=cost.madds,
        activation_bytes=cost.activation_bytes,
        memory_bytes=file_bytes + cost.peak_activation_bytes,
    )


def variants_of(card: ModelCard, file_bytes: int, resolutions: Iterable[int]) -> list[Variant]:
    """A card's model as trained and at those of `resolutions` that are smaller, largest first.

    Larger ones cost more, and nothing is published of what weights gain from them.
    """
    smaller = {side for side in resolutions if side < card.resolution and side in card.resolutions}
    found = []
    for side in sorted({card.resolution, *smaller}, reverse=True):
        try:
            found.append(variant_of(card, file_bytes, side))
        except BadQuery:  # a graph whose maps do not halve evenly runs there, but at unknown cost
            continue
    return found


def loaded_variants(models: "Iterable[Model]", resolutions: Iterable[int]) -> list[Variant]:
    """The variants of all loaded models."""
    sides = tuple(resolutions)
    return [
        variant for model in models for variant in variants_of(model.card, model.file_bytes, sides)
    ]

"""Several heads on one base, which one run of the base answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from app.arrays import Float32Array, Uint8Array
from app.card.card import EMBEDDING, PROBABILITIES
from app.errors import BadQuery
from app.heads.head import to_units
from app.model.head_model import HeadModel
from app.model.model import Model, State
from app.model.store import Store

MAX_HEADS = 32


@dataclass(slots=True, eq=False)
class HeadGroup(Model):
    """Heads that a request names together; its probabilities are theirs, side by side."""

    heads: tuple[HeadModel, ...]

    @property
    def name(self) -> str:
        """The card is the base's, so that metrics and times do not grow with choices of heads."""
        return ",".join(head.name for head in self.heads)

    @property
    def base(self) -> Model:
        return self.heads[0].base

    @property
    def state(self) -> State:
        return self.base.state

    def load(self) -> None:
        self.base.load()

    @property
    def any_batch(self) -> bool:
        return False  # a batch is one object's, and this one is a request's

    @property
    def outputs(self) -> dict[str, int]:
        width = sum(len(head.card.labels) for head in self.heads)
        return {PROBABILITIES: width, EMBEDDING: self.base.outputs[EMBEDDING]}

    def run(
        self, outputs: Sequence[str], images: Uint8Array, *, wide: bool = False
    ) -> Float32Array:
        embeddings = self.base.run((EMBEDDING,), images, wide=wide)
        found = []
        for name in outputs:
            if name == EMBEDDING:
                found.append(embeddings)
            else:
                units = to_units(embeddings)
                found += [one.head.of_units(units) for one in self.heads]
        return np.concatenate(found, axis=1)

    def by_head(self, row: Float32Array) -> Iterator[tuple[HeadModel, Float32Array]]:
        """Each head with its probabilities, from a row of the result of `run`."""
        end = 0
        for head in self.heads:
            begin, end = end, end + len(head.card.labels)
            yield head, row[begin:end]


def group_of(store: Store, names: str) -> HeadGroup:
    """The heads with these names, separated by commas.

    Raises:
        UnknownModel: no loaded model has one of the names.
        BadQuery: one of them is no head, a name is repeated, or the heads are on different bases.
    """
    models = [store.get(name.strip()) for name in names.split(",")]
    heads = tuple(model for model in models if isinstance(model, HeadModel))
    if len(heads) < len(models):
        other = next(model.name for model in models if not isinstance(model, HeadModel))
        raise BadQuery(f"model: {other} is not a taught head; only heads can be named together.")
    if len({head.name for head in heads}) < len(heads) or len(heads) > MAX_HEADS:
        raise BadQuery(f"model: up to {MAX_HEADS} heads can be named, each once.")
    if len({head.card.base_sha256 for head in heads}) > 1:
        bases = ", ".join(f"{head.name} on {head.base.name}" for head in heads)
        raise BadQuery(f"model: heads named together need one base: {bases}.")
    base = heads[0].base
    group = HeadGroup(base.card, base.file_bytes, None, heads)
    group.wide = base.wide
    return group

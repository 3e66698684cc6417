"""A call of a layer, and what every layer of Keras can have."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from app.arrays import Float32Array
from models.checkpoints.checkpoint import CheckpointError
from models.translation.keras.records import Records


class Numbers(NamedTuple):
    """Numbers among the arguments of a call; `first` if one stands in front, as in 1 - x."""

    values: tuple[float, ...] = ()
    first: bool = False


NO_NUMBERS = Numbers()


@dataclass(frozen=True, slots=True)
class Call:
    """A layer that is called: its values, its weights by name, and numbers among its arguments."""

    kind: str
    name: str
    config: Mapping[str, Any]
    inputs: list[int]
    weights: Mapping[str, Float32Array]
    numbers: Numbers = NO_NUMBERS

    def weight(self, name: str) -> Float32Array:
        if name not in self.weights:
            raise CheckpointError(f"{self.name} has no {name}")
        return self.weights[name]

    def pair(self, name: str, default: int = 1) -> tuple[int, int]:
        found = self.config.get(name, default)
        height, width = (found, found) if isinstance(found, int) else found
        return int(height), int(width)


Layer = Callable[[Records, Call], int]

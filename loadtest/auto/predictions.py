"""What `models recommend` predicts of this machine, beside what the same networks take on it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.card.card import Family, Precision
from app.card.cost_at import dial_layers
from app.model.model import Model
from models.network.cost import network_cost
from models.network.design import define
from models.network.resolution import RESOLUTIONS
from models.quantization.core_time import core_ms
from models.recommendation.latency import LatencyModel
from models.recommendation.probe import network_session

TOLERANCE = 0.25
# Widths and designs that the probe does not time.
OTHERS: tuple[tuple[Family, float, tuple[int, ...]], ...] = (
    ("mobilenet_v1", 0.75, (128, 192, 224)),
    ("mobilenet_v1", 1.0, (192, 224)),
    ("mobilenet_v2", 0.5, (128, 224)),
    ("mobilenet_v2", 1.0, (128, 192, 224)),
    ("mobilenet_v2", 1.4, (160, 224)),
)


@dataclass(frozen=True, slots=True)
class Predicted:
    """A variant, what was predicted and what the median run took, in processor time."""

    name: str
    trained: bool
    madds: int
    predicted_ms: float
    measured_ms: float

    @property
    def error(self) -> float:
        """Relative to what it took."""
        return self.predicted_ms / self.measured_ms - 1


def check_models(
    models: Iterable[Model], factors: dict[Precision, LatencyModel]
) -> list[Predicted]:
    """Real models as trained and at all smaller resolutions."""
    found = []
    for model in models:
        card = model.card
        for side in (side for side in RESOLUTIONS if side <= card.resolution):
            layers = dial_layers(card, side)
            madds = sum(row.madds for row in layers)
            predicted_ms = factors[card.precision].predict_ms(layers)
            measured_ms = _median_ms(model.session, side)
            name = f"{model.name}@{side}"
            found.append(Predicted(name, card.trained, madds, predicted_ms, measured_ms))
    return found


def check_networks(factors: dict[Precision, LatencyModel]) -> list[Predicted]:
    """Networks with random weights, of widths that the probe has not seen."""
    found = []
    for family, alpha, sides in OTHERS:
        session = network_session(define(family, alpha, sides[0]), "fp32")
        for side in sides:
            cost = network_cost(define(family, alpha, side))
            predicted_ms = factors["fp32"].predict_ms(cost.layers)
            measured_ms = _median_ms(session, side)
            name = f"{family}_{alpha}_{side}"
            found.append(Predicted(name, False, cost.madds, predicted_ms, measured_ms))
    return found


def _median_ms(session: Any, side: int) -> float:
    image = np.random.default_rng(1).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    return core_ms([session], [image])[0]

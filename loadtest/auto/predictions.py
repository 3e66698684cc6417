"""The latencies that `models recommend` predicts for this machine, beside measured ones."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from app.card.card import Family, Precision
from app.card.cost_at import scaled_layers
from app.model.model import Model
from loadtest.auto.result import Prediction
from models.network.cost import network_cost
from models.network.design import define
from models.network.resolution import RESOLUTIONS
from models.quantization.core_time import core_ms
from models.recommendation.latency import LatencyModel
from models.recommendation.probe import network_session

# Designs and widths that the probe does not time, with the resolutions to predict.
UNSEEN_NETWORKS: tuple[tuple[Family, float, tuple[int, ...]], ...] = (
    ("mobilenet_v1", 0.75, (128, 192, 224)),
    ("mobilenet_v1", 1.0, (192, 224)),
    ("mobilenet_v2", 0.5, (128, 224)),
    ("mobilenet_v2", 1.0, (128, 192, 224)),
    ("mobilenet_v2", 1.4, (160, 224)),
)


def predict_models(
    models: Iterable[Model], latency_models: dict[Precision, LatencyModel]
) -> list[Prediction]:
    """Predict and measure models at the trained and all smaller resolutions."""
    found = []
    for model in models:
        card = model.card
        for resolution in (each for each in RESOLUTIONS if each <= card.resolution):
            layers = scaled_layers(card, resolution)
            madds = sum(row.madds for row in layers)
            predicted_ms = latency_models[card.precision].predict_ms(layers)
            measured_ms = _median_ms(model.session, resolution)
            name = f"{model.name}@{resolution}"
            found.append(Prediction(name, card.trained, madds, predicted_ms, measured_ms))
    return found


def predict_networks(latency_models: dict[Precision, LatencyModel]) -> list[Prediction]:
    """Predict and measure networks with random weights that the probe does not time."""
    found = []
    for family, alpha, resolutions in UNSEEN_NETWORKS:
        session = network_session(define(family, alpha, resolutions[0]), "fp32")
        for resolution in resolutions:
            cost = network_cost(define(family, alpha, resolution))
            predicted_ms = latency_models["fp32"].predict_ms(cost.layers)
            measured_ms = _median_ms(session, resolution)
            name = f"{family}_{alpha}_{resolution}"
            found.append(Prediction(name, False, cost.madds, predicted_ms, measured_ms))
    return found


def _median_ms(session: Any, resolution: int) -> float:
    shape = (1, resolution, resolution, 3)
    image = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    return core_ms([session], [image])[0]

"""A linear model of latency: found again where it is true, never negative."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.card.card import Precision
from models.network.cost import network_cost
from models.network.mobilenet_v1 import mobilenet_v1
from models.network.mobilenet_v2 import mobilenet_v2
from models.recommendation.latency import FEATURES, TimedNetwork, features, fit

LAYERS = [
    network_cost(define(alpha, side)).layers
    for define in (mobilenet_v1, mobilenet_v2)
    for alpha in (0.35, 0.5, 1.0)
    for side in (96, 160, 224)
]
# Milliseconds a unit of each feature, as of some device.
FACTORS = (1e-8, 4e-8, 5e-9, 2e-8, 1e-3)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_factors_of_a_device_that_is_linear_are_found(precision: Precision) -> None:
    timed = [
        TimedNetwork(layers, float(features(layers, precision) @ np.array(FACTORS)))
        for layers in LAYERS
    ]
    model = fit(timed, precision)
    assert model.worst_error < 1e-6
    other = network_cost(mobilenet_v2(1.4, 192)).layers
    expected = float(features(other, precision) @ np.array(FACTORS))
    assert model.predict_ms(other) == pytest.approx(expected)


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=len(LAYERS)))
def test_whatever_was_timed_more_never_takes_less_than_nothing(times_ms: list[float]) -> None:
    model = fit([TimedNetwork(*pair) for pair in zip(LAYERS, times_ms, strict=False)], "fp32")
    assert len(model.factors) == len(FEATURES)
    assert all(factor >= 0 for factor in model.factors)
    assert all(model.predict_ms(layers) >= 0 for layers in LAYERS)


def test_without_a_time_there_is_no_model() -> None:
    with pytest.raises(ValueError, match="No network was timed"):
        fit([], "fp32")


def test_features_add_up_to_the_cost_of_the_network() -> None:
    cost = network_cost(mobilenet_v1(1.0, 224))
    dense, depthwise, activations, weights, layers = features(cost.layers, "fp32")
    assert dense + depthwise == cost.madds
    assert activations == sum(row.activation_bytes for row in cost.layers)
    assert weights == 4 * sum(row.weights for row in cost.layers)
    assert layers == 28  # V1 paper, section 3.2

"""Moving factors from layer to layer leaves what the network computes as it was."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.card.card import Family
from app.model.runtime import new_session
from models.checkpoints.checkpoint import Checkpoint
from models.export.exported import Exported, read_exported
from models.export.graph import FloatWriter, build_graph
from models.network.mobilenet_v2 import mobilenet_v2
from models.quantization.calibration import observe
from models.quantization.equalize import equalize
from models.recipes.factors import move_factors, tensors_with_shared_factors
from tests.exports import export_random


def random_images(count: int, side: int = 96) -> list[np.ndarray]:
    random = np.random.default_rng(5)
    return [random.integers(0, 256, (1, side, side, 3), np.uint8) for _ in range(count)]


def answers(model: Exported, checkpoint: Checkpoint, image: np.ndarray) -> list[np.ndarray]:
    graph = build_graph(model.network, FloatWriter(checkpoint, model.scaling), model.background)
    session = new_session(graph.SerializeToString())
    return list(session.run(["probabilities", "embedding"], {"image": image}))


@pytest.mark.parametrize("family", ["mobilenet_v1", "mobilenet_v2"])
def test_an_equalized_network_gives_the_same_answers(family: Family, tmp_path: Path) -> None:
    path = export_random(tmp_path, family, 0.35, 96)
    model, images = read_exported(path), random_images(4)
    activations = observe(path, model.network, images)
    factors = equalize(model.network, activations).factors
    layers = move_factors(model.network, model.checkpoint.layers, factors)
    changed = [
        name
        for name, layer in layers.items()
        if not np.array_equal(layer.kernel, model.checkpoint.layers[name].kernel)
    ]
    assert len(changed) > len(layers) / 2
    for image in images:
        before = answers(model, model.checkpoint, image)
        after = answers(model, Checkpoint(layers), image)
        for one, other in zip(before, after, strict=True):
            assert np.allclose(one, other, rtol=1e-3, atol=1e-5)


def test_what_depthwise_layers_read_fills_the_range_of_relu6(tmp_path: Path) -> None:
    path = export_random(tmp_path, "mobilenet_v2", 0.35, 96)
    model = read_exported(path)
    activations = observe(path, model.network, random_images(2))
    equalized = equalize(model.network, activations)
    before, after = (one["block_3_expand"].maximum for one in (activations, equalized.activations))
    assert (after >= before * 0.999).all()
    grown = after > before * 1.001
    assert grown.any()
    wanted = np.maximum(before, np.minimum(6 / 1.1, 32 * before))
    assert (after <= wanted * 1.00001).all()  # factors are whole 32nds, rounded down
    assert (after >= wanted * 0.99999 - before / 32).all()


def test_a_channel_is_scaled_to_a_tenth_below_6_and_by_32_at_most(tmp_path: Path) -> None:
    path = export_random(tmp_path, "mobilenet_v2", 0.35, 96)
    model = read_exported(path)
    activations = observe(path, model.network, random_images(1))
    seen = activations["block_3_expand"]
    channels = len(seen.maximum)
    maximum = np.resize(np.array([0.0, 0.001, 0.1, 1.0, 5.0, 5.5, 6.0], np.float32), channels)
    activations["block_3_expand"] = replace(
        seen, minimum=np.zeros(channels, np.float32), maximum=maximum
    )
    equalized = equalize(model.network, activations)
    found = equalized.activations["block_3_expand"].maximum[:7]
    # 174 and 34 32nds reach 6 / 1.1 = 5.4545 from 1 and 5, rounded down
    assert found == pytest.approx([0, 0.032, 3.2, 174 / 32, 5 * 34 / 32, 5.5, 6.0], rel=1e-5)


def test_sums_tie_tensors_together_and_the_features_stay_out() -> None:
    groups = tensors_with_shared_factors(mobilenet_v2(0.35, 96))
    [(first, residual)] = [item for item in groups.items() if "block_2_add" in item[1]]
    assert residual == {"block_1_project", "block_2_project", "block_2_add"}
    assert first == "block_1_project"
    tied = set().union(*groups.values())
    assert tied.isdisjoint({"head", "pool", "classifier", "image"})

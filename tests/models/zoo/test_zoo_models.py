"""Every model of the zoo exports, and costs what its publisher's table says.

Where the published weights are not at hand, weights that follow from names and shapes take their
place: neither the graph nor its costs depend on what the numbers are.
"""

from collections.abc import Callable
from itertools import groupby
from math import floor
from pathlib import Path

import numpy as np
import onnx
import pytest

from app.card.card import Cost, Precision
from app.model.model import load_model
from models.checkpoints.checkpoint import Affine, Checkpoint, Quantization, QuantizedLayer
from models.export.export import export, untrained
from models.network.network import INPUT, Network
from models.onnx_cost.graph_cost import graph_cost
from models.zoo.zoo import Entry, find, zoo
from tests.models.published import agrees, rows

ENTRIES = list(zoo().values())


def layout(entry: Entry) -> str:
    """What the graph of an entry follows from: all but the resolution, which every graph leaves
    open, and what only the card says."""
    recipe = entry.recipe
    parts = (recipe.family, recipe.alpha, recipe.design, recipe.padding, recipe.background)
    return repr((*parts, recipe.scaling, entry.precision))


# Entries of one graph: one export stands for all of them.
GRAPHS = [list(entries) for _, entries in groupby(sorted(ENTRIES, key=layout), key=layout)]


def derived_checkpoint(network: Network, precision: Precision) -> Checkpoint:
    """Weights by rule, and for int8 the same in integers with one range for all activations."""
    floats = untrained(network)
    if precision == "fp32":
        return floats
    activation = Affine(12 / 255, 128)
    layers = {}
    for name, layer in floats.layers.items():
        scale = np.abs(layer.kernel).max() / 127
        layers[name] = QuantizedLayer(
            kernel=np.rint(layer.kernel / scale).astype(np.int8),
            scales=np.array([scale], np.float32),
            zero_points=np.zeros(1, np.int8),
            bias=np.zeros(layer.bias.shape, np.int32),
        )
    activations = dict.fromkeys((INPUT, *(node.name for node in network.nodes)), activation)
    return Checkpoint(floats.layers, Quantization(layers, activations))


def in_file(cost: Cost) -> tuple[int, ...]:
    return cost.stored_params, cost.madds, cost.classifier_madds, cost.peak_activation_bytes


@pytest.mark.unmeasured
@pytest.mark.parametrize("entries", GRAPHS, ids=lambda entries: entries[-1].name)
def test_every_model_exports_and_its_file_costs_what_the_zoo_says(
    entries: list[Entry], tmp_path: Path
) -> None:
    smallest = min(entries, key=lambda entry: entry.recipe.resolution)
    recipe, precision = smallest.recipe, smallest.precision
    path = export(recipe, derived_checkpoint(recipe.network(), precision), precision, tmp_path)
    model = load_model(path)
    assert model.card == recipe.card(precision)
    photo = np.zeros((1, recipe.resolution, recipe.resolution, 3), np.uint8)
    assert model.probabilities(photo).shape == (1, 1000)
    graph = onnx.load(path)
    for entry in entries:
        card = entry.recipe.card(entry.precision)
        assert in_file(graph_cost(graph, card.resolution)) == in_file(card.cost), entry.name


def with_background(cost: Cost) -> tuple[float, int]:
    """MAdds in millions, and weights and biases, with the 1001 classes that slim counts."""
    classifier = cost.layers[-1]
    classes, inputs = classifier.output_shape[0], classifier.input_shape[0]
    more = 1001 - classes
    weights_and_biases = sum(layer.weights + layer.biases for layer in cost.layers)
    return (cost.madds + more * inputs) / 1e6, weights_and_biases + more * (inputs + 1)


def batch_norm_channels(cost: Cost) -> int:
    return sum(layer.batch_norm_params for layer in cost.layers) // 2


def check_slim(entry: Entry, cost: Cost) -> None:
    """V1 keeps 3 values a batch-norm channel and rounds MAdds; V2 keeps none and cuts them off."""
    table = "v1_checkpoints" if entry.recipe.family == "mobilenet_v1" else "v2_checkpoints"
    key = (entry.recipe.alpha, entry.recipe.resolution)
    [row] = [row for row in rows(table) if (float(row["alpha"]), int(row["resolution"])) == key]
    madds_m, weights_and_biases = with_background(cost)
    if table == "v1_checkpoints":
        name = f"{row['alpha']}_{row['resolution']}"
        assert agrees(table, name, "madds_M", row["madds_M"], madds_m, 1)
        weights_and_biases += 3 * batch_norm_channels(cost)
    else:
        assert floor(madds_m) == int(row["madds_M"])
    assert round(weights_and_biases / 1e6, 2) == float(row["params_M"])


def check_keras(entry: Entry, cost: Cost) -> None:
    """Keras counts 4 values a batch-norm channel, and translated slim's checkpoints."""
    check_slim(entry, cost)
    model = entry.recipe.family.replace("_v1", "")
    [row] = [
        row
        for row in rows("keras_params")
        if row["model"] == model and float(row["alpha"]) == entry.recipe.alpha
    ]
    weights_and_biases = sum(layer.weights + layer.biases for layer in cost.layers)
    params = weights_and_biases + 4 * batch_norm_channels(cost)
    assert round(params / 1e6, 1) == float(row["params_M"])


def check_torchvision(entry: Entry, cost: Cost) -> None:
    """torchvision counts what training learns, and says 0.301 for the MAdds in billions."""
    learns = str(2)  # values of a batch-norm channel
    [row] = [
        row
        for row in rows("parameter_counts")
        if row["values_per_batch_norm_channel"] == learns
        and float(row["alpha"]) == entry.recipe.alpha
    ]
    assert cost.params == int(row["params"])
    assert round(cost.madds / 1e9, 3) == 0.301


def check_timm(entry: Entry, cost: Cost) -> None:
    """timm counts what training learns; its MACs have 2 more an activation."""
    [row] = [row for row in rows("timm_checkpoints") if row["name"] == entry.name]
    activations = sum(layer.activation_bytes for layer in cost.layers if layer.weights) // 4
    assert round(cost.params / 1e6, 2) == float(row["params_M"])
    assert round(activations / 1e6, 2) == float(row["activations_M"])
    assert round((cost.madds + 2 * activations) / 1e9, 2) == float(row["gmacs"])


RULES: dict[str, Callable[[Entry, Cost], None]] = {
    "keras": check_keras,
    "tflite_float": check_slim,
    "tflite_quantized": check_slim,
    "torchvision": check_torchvision,
    "torchvision_v2": check_torchvision,
    "timm_v1": check_timm,
    "timm_v2": check_timm,
}


@pytest.mark.unmeasured
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_model_costs_what_its_publishers_table_says(entry: Entry) -> None:
    cost = entry.recipe.card(entry.precision).cost
    RULES[entry.checkpoint.format](entry, cost)


def test_the_zoo_has_every_checkpoint_that_keras_published() -> None:
    for family, alphas, sides in (
        ("mobilenet_v1", (0.25, 0.5, 0.75, 1.0), (128, 160, 192, 224)),
        ("mobilenet_v2", (0.35, 0.5, 0.75, 1.0), (96, 128, 160, 192, 224)),
        ("mobilenet_v2", (1.3, 1.4), (224,)),
    ):
        for alpha in alphas:
            for side in sides:
                entry = find(f"{family}_{alpha}_{side}_keras")
                assert entry.recipe.accuracy
                assert not entry.pinned
    assert sum(entry.checkpoint.format == "keras" for entry in ENTRIES) == 16 + 22

"""State dicts with a head of several layers, held against NumPy on the features of a plain one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.checkpoints.torch.state_dict import read_tensors
from models.importing.checks import Refused
from tests.models.checkpoints.torch.state_dicts import Tensors
from tests.models.importing.exported import run
from tests.models.importing.finetuned import CLASSES, TORCH, adopted, save_torch, unpack
from tests.models.importing.inputs import images, weights

HIDDEN = 7
ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "tanh": np.tanh,
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "none": lambda x: x,
}


def trunk(folder: Path) -> Tensors:
    """What torch saved, without its head."""
    tensors = read_tensors(unpack(TORCH, folder))
    return {name: values for name, values in tensors.items() if "classifier" not in name}


def dense(name: str, out: int, entering: int, biased: bool = True) -> Tensors:
    made: Tensors = {f"{name}.weight": weights(name, (out, entering), entering) / 4}
    return made | ({f"{name}.bias": weights(f"{name}.bias", (out,), 8)} if biased else {})


def norm(name: str, size: int) -> Tensors:
    parts = {"weight": 8, "bias": 9, "running_mean": 10}
    made: Tensors = {
        f"{name}.{part}": weights(f"{name}.{part}", (size,), fan) for part, fan in parts.items()
    }
    return made | {
        f"{name}.running_var": np.linspace(0.5, 2, size, dtype=np.float32),
        f"{name}.num_batches_tracked": np.array(9),
    }


def features(folder: Path) -> np.ndarray:
    """The pooled features, from the file with the head that torch saved."""
    return run(adopted(unpack(TORCH, folder), like="torchvision").model)[1].astype(np.float64)


def linear(values: np.ndarray, tensors: Tensors, name: str) -> np.ndarray:
    made: np.ndarray = values @ tensors[f"{name}.weight"].T.astype(np.float64)
    return made + tensors.get(f"{name}.bias", np.zeros(1))


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    made: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return made


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_hidden_layer_answers_as_it_does_in_numpy(activation: str, tmp_path: Path) -> None:
    entering = features(tmp_path)
    head = dense("classifier.1", HIDDEN, entering.shape[1])
    head |= dense("classifier.4", CLASSES, HIDDEN)
    path = save_torch(tmp_path / "own.pth", trunk(tmp_path) | head)
    adoption = adopted(path, like="torchvision", activation=activation)
    hidden = ACTIVATIONS[activation](linear(entering, head, "classifier.1"))
    probabilities, _ = run(adoption.model, images())
    expected = softmax(linear(hidden, head, "classifier.4"))
    assert np.ptp(expected, axis=0).max() > 0.001
    assert abs(probabilities - expected).max() < 1e-4
    card = adoption.card
    assert (card.family, card.alpha, card.resolution) == ("mobilenet_v2", 0.05, 96)
    title = {one.what: one.value for one in adoption.findings}["file"]
    assert title == "torch weights, named as in torchvision, with a head of several layers"


def test_the_activation_that_no_state_dict_states_is_asked_for(tmp_path: Path) -> None:
    tensors = trunk(tmp_path)
    channels = len(tensors["features.18.0.weight"])
    head = dense("classifier.1", HIDDEN, channels) | dense("classifier.4", CLASSES, HIDDEN)
    path = save_torch(tmp_path / "own.pth", tensors | head)
    with pytest.raises(
        Refused,
        match=r"2 answers are missing(.|\n)*between classifier\.1 and classifier\.4\.\n "
        r"+--activation relu  ",
    ):
        adopted(path, resolution=None)
    with pytest.raises(Refused, match=r"Unknown activation 'gelu'\. Supported: relu, relu6, elu"):
        adopted(path, like="torchvision", activation="gelu")


def test_layers_without_a_gap_have_nothing_between(tmp_path: Path) -> None:
    entering = features(tmp_path)
    head = dense("fc.0", HIDDEN, entering.shape[1]) | dense("fc.1", CLASSES, HIDDEN)
    path = save_torch(tmp_path / "own.pth", trunk(tmp_path) | head)
    probabilities, _ = run(adopted(path, like="torchvision").model)
    expected = softmax(linear(linear(entering, head, "fc.0"), head, "fc.1"))
    assert abs(probabilities - expected).max() < 1e-4


def test_batch_norm_behind_a_layer_is_part_of_it(tmp_path: Path) -> None:
    entering = features(tmp_path)
    head = dense("classifier.1", HIDDEN, entering.shape[1]) | norm("classifier.2", HIDDEN)
    head |= dense("classifier.10", CLASSES, HIDDEN)
    path = save_torch(tmp_path / "own.pth", trunk(tmp_path) | head)
    gamma, beta, mean, variance = (
        head[f"classifier.2.{part}"].astype(np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    hidden = linear(entering, head, "classifier.1")
    hidden = np.maximum((hidden - mean) / np.sqrt(variance + 1e-5) * gamma + beta, 0)
    probabilities, _ = run(adopted(path, like="torchvision", activation="relu").model)
    expected = softmax(linear(hidden, head, "classifier.10"))
    assert abs(probabilities - expected).max() < 1e-4


@pytest.mark.parametrize("name", ["classifier", "classifier.1", "fc"])
def test_a_layer_without_bias_has_none(name: str, tmp_path: Path) -> None:
    entering = features(tmp_path)
    head = dense(name, CLASSES, entering.shape[1], biased=False)
    path = save_torch(tmp_path / "own.pth", trunk(tmp_path) | head)
    probabilities, _ = run(adopted(path, like="torchvision").model)
    assert abs(probabilities - softmax(linear(entering, head, name))).max() < 1e-4


def test_layers_of_one_shape_without_numbers_have_no_order(tmp_path: Path) -> None:
    """As `out(extra(mlp(embed(x))))`, which the alphabet would turn around."""
    entering = features(tmp_path)
    head = dense("embed", HIDDEN, entering.shape[1]) | dense("mlp", HIDDEN, HIDDEN)
    head |= dense("extra", HIDDEN, HIDDEN) | dense("out", CLASSES, HIDDEN)
    path = save_torch(tmp_path / "own.pth", trunk(tmp_path) | head)
    with pytest.raises(Refused, match="nothing tells the order of extra and mlp; export it"):
        adopted(path, like="torchvision", activation="relu")


def test_what_all_names_begin_with_is_left_out(tmp_path: Path) -> None:
    whole = read_tensors(unpack(TORCH, tmp_path))
    path = save_torch(tmp_path / "own.pth", {f"net.backbone.{name}": whole[name] for name in whole})
    expected = run(adopted(unpack(TORCH, tmp_path), like="torchvision").model)[0]
    assert (run(adopted(path, like="torchvision").model)[0] == expected).all()


def test_names_without_a_module_are_of_another_network(tmp_path: Path) -> None:
    path = save_torch(tmp_path / "own.pth", {"weight": np.ones((4, 3), np.float32)})
    with pytest.raises(Refused, match="not a MobileNetV1 or V2"):
        adopted(path)


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (
            dense("classifier.1", HIDDEN, 1280) | dense("classifier.4", CLASSES, 9),
            r"classifier\.4 takes 9 values, and classifier\.1 gives 7; export it to ONNX",
        ),
        (
            dense("classifier.1", HIDDEN, 9) | dense("classifier.4", CLASSES, HIDDEN),
            "classifier has a kernel",
        ),
        (
            dense("classifier.1", HIDDEN, 1280) | norm("classifier.4", HIDDEN)
            | dense("classifier.6", CLASSES, HIDDEN),
            r"classifier\.4 of its head is no linear layer; export it to ONNX",
        ),
        (
            dense("head.a", HIDDEN, 1280) | dense("head.b", CLASSES, HIDDEN)
            | {"head.scale": np.ones(1, np.float32)},
            "head of its head is no linear layer",
        ),
    ],
)  # fmt: skip
def test_a_head_that_is_not_known_is_rejected(head: Tensors, reason: str, tmp_path: Path) -> None:
    path = save_torch(tmp_path / "own.pth", trunk(tmp_path) | head)
    with pytest.raises(Refused, match=reason) as caught:
        adopted(path, like="torchvision", activation="relu")
    assert str(caught.value).startswith("own.pth: ")


def test_an_activation_is_for_heads_of_several_layers(tmp_path: Path) -> None:
    path = unpack(TORCH, tmp_path)
    with pytest.raises(Refused, match=r"leave its activation open\. Remove --activation"):
        adopted(path, like="torchvision", activation="relu")

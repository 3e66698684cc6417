"""What files of Keras say of the pictures that their network was trained on."""

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.checkpoints.checkpoint import CheckpointError
from models.checkpoints.keras.config import (
    CONFIG,
    CONFIG_ATTRIBUTE,
    Pictures,
    _scaling,
    read_pictures,
)
from models.checkpoints.keras.hdf5 import KERAS_WEIGHTS
from tests.models.importing.finetuned import KERAS, KERAS_H5, unpack

PIXELS = {"class_name": "__keras_tensor__", "config": {"shape": [None, 96, 96, 3]}}
MEANS = {"class_name": "__numpy__", "config": {"value": [0.1, 0.2, 0.3], "dtype": "float32"}}
finite = st.floats(0.01, 100)


def layer(kind: str, *arguments: Any, **config: Any) -> dict[str, Any]:
    """As Keras 3.15 describes one, without what does not matter here."""
    nodes = [{"args": list(arguments), "kwargs": {}}] if arguments else []
    return {"class_name": kind, "config": config, "inbound_nodes": nodes}


def operator(function: str, number: float | None = None, *, first: float = 0) -> dict[str, Any]:
    """As Keras 2 describes arithmetic; without `number`, `first` comes before the pixels."""
    named = {"y": ["input_1", 0, 0] if number is None else number, "name": None}
    node = ["_CONSTANT_VALUE", -1, first, named] if number is None else ["input_1", 0, 0, named]
    return {
        "class_name": "TFOpLambda",
        "config": {"name": f"tf.{function}", "function": function},
        "inbound_nodes": [node],
    }


def image(side: int | None, other: int | None = None) -> dict[str, Any]:
    return layer("InputLayer", batch_shape=[None, side, other or side, 3])


def joined(one: dict[str, Any]) -> dict[str, Any]:
    """Of two inputs, which Keras 2 describes as a list of them."""
    return one | {"inbound_nodes": [one["inbound_nodes"] * 2]}


def twice(once: dict[str, Any]) -> dict[str, Any]:
    return once | {"inbound_nodes": [{"args": [PIXELS], "kwargs": {}}] * 2}


def model(*layers: dict[str, Any], kind: str = "Functional") -> dict[str, Any]:
    return layer(kind, layers=list(layers))


def saved(folder: Path, config: Any) -> Path:
    """A `.keras` file of that configuration; nobody asks for its weights."""
    path = folder / "own.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(KERAS_WEIGHTS, b"")
        archive.writestr(CONFIG, config if isinstance(config, str) else json.dumps(config))
    return path


@pytest.mark.parametrize("name", [KERAS, KERAS_H5])
def test_files_that_keras_wrote_are_understood(name: str, tmp_path: Path) -> None:
    found = read_pictures(unpack(name, tmp_path))
    assert (found.side, found.offset) == (96, -1)
    assert found.scale == pytest.approx(1 / 127.5)


def test_weights_alone_say_nothing(tmp_path: Path) -> None:
    with zipfile.ZipFile(unpack(KERAS, tmp_path)) as archive:
        path = tmp_path / "mine.weights.h5"
        path.write_bytes(archive.read(KERAS_WEIGHTS))
    assert read_pictures(path) == Pictures(None, None)


def test_older_versions_of_h5py_wrote_bytes(tmp_path: Path) -> None:
    path = tmp_path / "old.h5"
    config = model(layer("InputLayer", batch_input_shape=[None, 160, 160, 3]), layer("Conv2D"))
    with h5py.File(path, "w") as file:
        file.attrs[CONFIG_ATTRIBUTE] = json.dumps(config).encode()
    assert read_pictures(path) == Pictures(160)


def test_the_size_is_that_of_the_innermost_input(tmp_path: Path) -> None:
    """Photos of 180 x 180 are resized in front of a network for 128."""
    network = model(image(128), layer("Conv2D"))
    config = model(image(180), layer("Resizing", height=128), network, kind="Sequential")
    assert read_pictures(saved(tmp_path, config)).side == 128


def test_the_size_is_that_to_which_a_layer_resizes(tmp_path: Path) -> None:
    resizing = layer("Resizing", height=160, width=160)
    assert read_pictures(saved(tmp_path, model(image(None), resizing, layer("Conv2D")))).side == 160


@pytest.mark.parametrize("inputs", [[image(None)], [image(96, 128)], []], ids=["any", "not", "no"])
def test_no_size_is_reported_where_there_is_no_square(
    inputs: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert read_pictures(saved(tmp_path, model(*inputs, layer("Conv2D")))).side is None


@pytest.mark.parametrize(
    ("steps", "scale", "offset"),
    [
        ([layer("Rescaling", scale=1 / 255, offset=0.0)], 1 / 255, 0),
        ([layer("Rescaling", scale=1 / 127.5, offset=-1)], 1 / 127.5, -1),
        ([layer("TrueDivide", PIXELS, 255.0)], 1 / 255, 0),
        ([layer("Multiply", 2, PIXELS), layer("Add", 1, PIXELS)], 2, 1),
        ([layer("Subtract", PIXELS, 128), layer("Divide", PIXELS, 64)], 1 / 64, -2),
        ([layer("Subtract", PIXELS, 0)], None, 0),
        ([operator("math.truediv", 127.5), operator("math.subtract", 1.0)], 1 / 127.5, -1),
        ([operator("__operators__.add", 1), operator("math.multiply", 2)], 2, 2),
        ([operator("math.multiply", first=0.5)], 0.5, 0),
        ([layer("RandomFlip"), layer("Dropout"), layer("Rescaling", scale=2, offset=0)], 2, 0),
    ],
    ids=[
        "to 1",
        "to -1 and 1",
        "quotient",
        "number first",
        "centred",
        "nothing",
        "Keras 2",
        "Keras 2, sum",
        "Keras 2, number first",
        "augmented",
    ],
)
def test_all_steps_in_front_of_the_network_count(
    steps: list[dict[str, Any]], scale: float | None, offset: float, tmp_path: Path
) -> None:
    found = read_pictures(saved(tmp_path, model(image(96), *steps, layer("Conv2D"))))
    assert found.side == 96
    assert found.scale == (None if scale is None else pytest.approx(scale))
    assert found.offset == pytest.approx(offset)


@given(st.lists(st.tuples(finite, finite), min_size=1, max_size=5), st.floats(0, 255))
def test_steps_one_by_one_and_together_give_the_same(
    steps: list[tuple[float, float]], pixel: float
) -> None:
    layers = [layer("Rescaling", scale=scale, offset=offset) for scale, offset in steps]
    factor, shift = _scaling(layers)
    wanted = pixel
    for scale, offset in steps:
        wanted = wanted * scale + offset
    assert pixel * factor + shift == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (layer("Subtract", 1, PIXELS), "its Subtract is no scaling of pixels"),
        (layer("Subtract", PIXELS, MEANS), "its Subtract takes {'class_name': '__numpy__'"),
        (layer("Add", [PIXELS, PIXELS]), "its Add is no scaling of pixels"),
        (layer("Rescaling", scale=[1, 2, 3], offset=0), r"its Rescaling takes \[1, 2, 3\], not"),
        (layer("Rescaling", offset=0), "its Rescaling takes None, not one number"),
        (layer("Lambda"), "its Lambda is not understood"),
        (layer("Normalization", mean=[1, 2, 3]), "its Normalization is not understood"),
        (layer("Negative", PIXELS), "its Negative is not understood"),
        (layer("Flip", PIXELS), "its Flip is not understood"),
        (layer("CenterCrop", height=96, width=96), "its CenterCrop is not understood"),
        (layer("RandomCrop", height=96, width=96), "its RandomCrop is not understood"),
        (joined(operator("concat", 2)), r"its TFOpLambda \(concat\) is no scaling of pixels"),
        (operator("math.subtract", first=1), "its Subtract is no scaling of pixels"),
        (twice(layer("Rescaling", scale=2, offset=0)), "its Rescaling is used more than once"),
        (layer("TrueDivide", PIXELS, 0), "its configuration is damaged: ZeroDivisionError"),
        (layer("TrueDivide"), "its configuration is damaged: ValueError"),
        (layer("Multiply", PIXELS, 10**400), "its configuration is damaged: OverflowError"),
    ],
)
def test_what_no_one_number_says_is_rejected_with_the_way_out(
    step: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = saved(tmp_path, model(image(96), step, layer("Conv2D")))
    with pytest.raises(CheckpointError, match=message) as caught:
        read_pictures(path)
    assert str(caught.value).startswith("own.keras: ")
    assert "damaged" in message or "--mean and --std" in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"class_name": [], "config": {}}'])
def test_a_damaged_configuration_is_rejected(text: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"own\.keras: its configuration is damaged"):
        read_pictures(saved(tmp_path, text))


def test_a_configuration_that_is_no_text_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "own.h5"
    with h5py.File(path, "w") as file:
        file.attrs[CONFIG_ATTRIBUTE] = [1, 2]
    with pytest.raises(CheckpointError, match="its model_config is no text"):
        read_pictures(path)

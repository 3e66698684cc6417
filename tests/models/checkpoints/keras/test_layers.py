"""What is refused of a whole model of Keras, because its weights would answer otherwise in ours."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.checkpoints.checkpoint import CheckpointError
from models.checkpoints.keras.config import CONFIG, read_pictures
from tests.models.importing.finetuned import KERAS, unpack

Config = dict[str, Any]
Change = Callable[[list[Config]], None]


def changed(folder: Path, change: Change) -> Path:
    """The file that Keras itself saved, with other layers in its configuration."""
    path = unpack(KERAS, folder)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(entries[CONFIG])
    change(config["config"]["layers"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, json.dumps(config) if name == CONFIG else content)
    return path


def of_kind(layers: list[Config], kind: str) -> Config:
    """The first layer of a class, those of the inner network included."""
    found = [layer for layer in layers if layer["class_name"] == kind]
    inner = (layer["config"].get("layers", []) for layer in layers)
    return found[0] if found else of_kind([each for one in inner for each in one], kind)


def becomes(kind: str, other: str, **config: Any) -> Change:
    def change(layers: list[Config]) -> None:
        layer = of_kind(layers, kind)
        layer["class_name"] = other
        layer["config"] |= config

    return change


def followed_by(kind: str, **config: Any) -> Change:
    return lambda layers: layers.append({"class_name": kind, "config": config})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (becomes("GlobalAveragePooling2D", "GlobalMaxPooling2D"), "GlobalMaxPooling2D behind"),
        (becomes("Dense", "Dense", activation="sigmoid"), r"Dense \(sigmoid\) behind"),
        (becomes("Dense", "Dense", activation={"class_name": "function"}), "Dense behind"),
        (becomes("Dropout", "UnitNormalization", axis=-1), "UnitNormalization behind"),
        (becomes("Dropout", "Dense", activation="linear"), r"Dense \(softmax\) behind"),
        (becomes("Dropout", "Conv2D", kernel_size=[3, 3]), "Conv2D behind"),
        (becomes("Dropout", "Softmax"), "Softmax behind"),
        (followed_by("Softmax", axis=-1), "Softmax behind"),
        (followed_by("GlobalAveragePooling2D"), "GlobalAveragePooling2D behind"),
        (becomes("ReLU", "ReLU", max_value=None), "ReLU in"),
        (becomes("ReLU", "LeakyReLU"), "LeakyReLU in"),
        (
            becomes("BatchNormalization", "BatchNormalization", epsilon=1e-5),
            "BatchNormalization in",
        ),
        (becomes("DepthwiseConv2D", "DepthwiseConv2D", dilation_rate=[2, 2]), "DepthwiseConv2D"),
        (becomes("ZeroPadding2D", "ZeroPadding2D", padding=[[1, 1], [1, 1]]), "ZeroPadding2D in"),
    ],
)
def test_a_layer_that_answers_otherwise_is_rejected_by_its_name(
    change: Change, named: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=rf"its {named}.* export the whole model as ONNX"):
        read_pictures(changed(tmp_path, change))


@pytest.mark.parametrize(
    "change",
    [
        becomes("Dense", "Dense", activation="linear"),
        becomes("Dropout", "SpatialDropout2D"),
        becomes("Dropout", "Flatten"),
        followed_by("Activation", activation="linear"),
        becomes("ReLU", "Activation", activation="relu6"),  # as the first versions had it
        becomes("Dense", "Conv2D", kernel_size=[1, 1], activation="softmax"),
    ],
)
def test_layers_that_change_nothing_are_supported(change: Change, tmp_path: Path) -> None:
    assert read_pictures(changed(tmp_path, change)).side == 96

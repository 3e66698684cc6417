"""Networks of timm and torchvision give their libraries' answers, whatever file they come in.

The libraries ran once, with weights that follow from the names and shapes of their tensors; here
the same weights are derived, written to a file, read, exported and run.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from app.model.model import load_model
from models.checkpoints.torch import timm, torchvision
from models.checkpoints.torch.state_dict import BATCH_NORM, Convolution
from models.export.export import export, kernel_shapes
from models.network.cost import network_cost
from models.network.network import Network
from models.zoo.zoo import DEFAULT_MODEL, Entry, export_entry, find, zoo
from tests.models.checkpoints.torch import torch_files as write
from tests.models.fidelity.inputs import Input, packaged_inputs
from tests.models.fidelity.timm_record import NetworkRecord, recorded_networks
from tests.models.fidelity.torch_names import derive

TOLERANCE = 1e-4
TIMM = [name for name in recorded_networks() if name.startswith("mobilenetv")]
TORCHVISION = [name for name in recorded_networks() if name not in TIMM]
Weights = dict[str, NDArray[np.float32]]
COUNTER = "num_batches_tracked"


@pytest.fixture(scope="module")
def inputs() -> dict[str, Input]:
    return {given.name: given for given in packaged_inputs()}


def entries_of(name: str) -> list[Entry]:
    """What the zoo makes of timm's network of that name; the file is called after it."""
    return [entry for entry in zoo().values() if any(f.startswith(f"{name}.") for f in entry.files)]


def shapes(
    network: Network, convolutions: Iterator[Convolution], classifier: str
) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a whole state dict, counters and all."""
    kernels = kernel_shapes(network)
    found: dict[str, tuple[int, ...]] = {}
    for layer, conv, norm in convolutions:
        found[f"{conv}.weight"] = kernels[layer]
        found |= {f"{norm}.{part}": kernels[layer][:1] for part in BATCH_NORM}
        found[f"{norm}.{COUNTER}"] = ()
    found[f"{classifier}.weight"] = kernels["classifier"][:2]
    found[f"{classifier}.bias"] = kernels["classifier"][:1]
    return found


def check_answers(path: Path, record: NetworkRecord, inputs: dict[str, Input]) -> None:
    model = load_model(path)
    assert len(record.answers) == 2
    for name, answer in record.answers.items():
        assert inputs[name].sha256 == answer.sha256
        ours = model.probabilities(inputs[name].pixels[np.newaxis])[0]
        assert int(ours.argmax()) == answer.class_ids[0]
        assert answer.largest_difference(ours) < TOLERANCE


def check_names(named: dict[str, tuple[int, ...]], record: NetworkRecord) -> None:
    """Every tensor has the name and the shape that it has in the library."""
    text = json.dumps([[name, list(shape)] for name, shape in sorted(named.items())])
    assert hashlib.sha256(text.encode()).hexdigest() == record.names_sha256


@pytest.mark.unmeasured
@pytest.mark.parametrize("name", TIMM)
def test_a_network_of_timm_gives_timms_answers(
    name: str, inputs: dict[str, Input], tmp_path: Path
) -> None:
    record, entry = recorded_networks()[name], entries_of(name)[0]
    recipe = entry.recipe
    convolutions = timm.convolutions(recipe.family, recipe.design)
    named = shapes(recipe.network(), convolutions, timm.CLASSIFIER)
    check_names(named, record)
    assert network_cost(recipe.network()).params == record.params
    path = tmp_path / "model.safetensors"
    save_file(derive(named), path)
    check_answers(export_entry(entry, lambda _: [path], tmp_path), record, inputs)


@pytest.mark.parametrize("name", TORCHVISION)
def test_a_network_of_torchvision_gives_torchvisions_answers(
    name: str, inputs: dict[str, Input], tmp_path: Path
) -> None:
    """From a `.pth` as a training loop saves it: averaged, and wrapped for several processors."""
    record = recorded_networks()[name]
    recipe = replace(find(DEFAULT_MODEL).recipe, alpha=float(name.removeprefix("mobilenet_v2_")))
    named = shapes(recipe.network(), torchvision.convolutions(), torchvision.CLASSIFIER)
    check_names(named, record)
    assert network_cost(recipe.network()).params == record.params
    content, storages = write.state_dict({f"module.{n}": w for n, w in derive(named).items()})
    path = tmp_path / "checkpoint.pth"
    path.write_bytes(write.zipped(write.mapping({"model_ema": content}), storages))
    check_answers(export(recipe, torchvision.read(path), "fp32", tmp_path), record, inputs)


def test_every_network_of_timm_in_the_zoo_was_recorded() -> None:
    published = {file.split(".")[0] for entry in zoo().values() for file in entry.files
                 if entry.format.reader == "timm"}  # fmt: skip
    assert published == set(TIMM)

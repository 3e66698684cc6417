"""Keras' files in every layout, and files that are not Keras'."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from app.card.card import Family
from models.checkpoints.checkpoint import CheckpointError
from models.checkpoints.keras import keras_h5
from models.export import derived_weights
from models.export.export import check_weights
from models.zoo.zoo import find
from tests.models.checkpoints.keras.keras_files import (
    published_v2_name,
    same,
    write_counted,
    write_named,
)
from tests.models.fidelity.keras_record import CASES, keras_case
from tests.processes import LIVELINESS_S

V1, V2 = keras_case("mobilenet_v1", 0.25), keras_case("mobilenet_v2", 0.35)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_named(tmp_path_factory.mktemp("keras") / "v1.h5", V1)


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_counted(tmp_path_factory.mktemp("keras") / "v1.weights.h5", V1)


@pytest.mark.unmeasured
@pytest.mark.parametrize(("family", "alpha", "resolution"), CASES)
def test_both_layouts_give_the_same_checkpoint_of_any_width(
    family: Family, alpha: float, resolution: int, tmp_path: Path
) -> None:
    case = keras_case(family, alpha)
    by_name = keras_h5.read(write_named(tmp_path / "a.h5", case), family)
    by_class = keras_h5.read(write_counted(tmp_path / "b.weights.h5", case), family)
    assert same(by_name, by_class)
    check_weights(find(f"{family}_{alpha}_{resolution}_keras").recipe.network(), by_name)


def test_a_whole_saved_model_has_the_same_weights(named: Path, tmp_path: Path) -> None:
    saved = write_named(tmp_path / "model.h5", V1, saved_model=True)
    assert same(keras_h5.read(saved, "mobilenet_v1"), keras_h5.read(named, "mobilenet_v1"))


def test_the_published_files_of_v2_have_older_names_and_are_read_in_order(tmp_path: Path) -> None:
    assert published_v2_name("expanded_conv_project_BN") == "bn0_conv_0_bn_project"
    assert published_v2_name("block_12_depthwise") == "mobl12_conv_12_depthwise"
    old = write_named(tmp_path / "old.h5", V2, names=published_v2_name)
    with h5py.File(old) as file:
        path = "mobl1_conv_1_depthwise/mobl1_conv_1_depthwise/depthwise_kernel:0"
        assert path in file
        assert "Logits/Logits/bias:0" in file
    new = write_named(tmp_path / "new.h5", V2)
    assert same(keras_h5.read(old, "mobilenet_v2"), keras_h5.read(new, "mobilenet_v2"))


def test_layers_with_todays_names_may_stand_in_any_order(named: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(named, tmp_path))
    with h5py.File(path, "a") as file:
        file.attrs["layer_names"] = sorted(file.attrs["layer_names"])
    assert same(keras_h5.read(path, "mobilenet_v1"), keras_h5.read(named, "mobilenet_v1"))


def test_batch_norm_is_folded_with_the_given_epsilon(named: Path) -> None:
    norm = derived_weights.batch_norm("conv1_bn", 8)
    kernel = derived_weights.kernel("conv1/kernel", (3, 3, 3, 8), 27)
    for eps in (1e-3, 1e-5):
        stem = keras_h5.read(named, "mobilenet_v1", eps=eps).layers["Conv2d_0"]
        scale = norm["gamma"] / np.sqrt(norm["variance"] + np.float32(eps))
        assert np.allclose(stem.kernel, (kernel * scale).transpose(3, 2, 0, 1), rtol=1e-6, atol=0)
        assert np.allclose(stem.bias, norm["beta"] - norm["mean"] * scale, rtol=1e-5, atol=1e-7)


def test_a_file_that_keeps_halves_or_doubles_is_read_as_float32(
    named: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(named, tmp_path))
    with h5py.File(path, "a") as file:
        replace(file, "conv1/conv1/kernel", file["conv1/conv1/kernel"][()].astype(np.float16))
        replace(file, "conv_pw_1/conv_pw_1/kernel", file["conv_pw_1/conv_pw_1/kernel"][()] * 1.0)
    layers = keras_h5.read(path, "mobilenet_v1").layers
    assert {values.kernel.dtype for values in layers.values()} == {np.dtype(np.float32)}


Damage = Callable[[h5py.File], None]
KERNEL = "conv_dw_3/conv_dw_3/kernel"


def replace(file: h5py.File, path: str, value: object) -> None:
    del file[path]
    file[path] = value


def declare(file: h5py.File, path: str, shape: tuple[int, ...], **options: object) -> None:
    del file[path]
    file.create_dataset(path, shape, np.float32, **options)


def layers_gone(file: h5py.File) -> None:
    file.attrs["layer_names"] = [name for name in file.attrs["layer_names"] if "_13" not in name]


def layer_more(file: h5py.File) -> None:
    file.copy("conv_dw_3", "conv_dw_99")
    file.attrs["layer_names"] = [*file.attrs["layer_names"], "conv_dw_99"]


def virtual(file: h5py.File) -> None:
    shape = file[KERNEL].shape
    layout = h5py.VirtualLayout(shape, np.float32)
    layout[...] = h5py.VirtualSource("other.h5", "kernel", shape)
    del file[KERNEL]
    file.create_virtual_dataset(KERNEL, layout)


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        pytest.param(layers_gone, "missing: conv_dw_13, conv_dw_13_bn, conv_pw_13", id="missing"),
        pytest.param(layer_more, "surplus: conv_dw_99", id="surplus"),
        pytest.param(lambda f: f.attrs.pop("layer_names"), "no Keras weights", id="no names"),
        pytest.param(
            lambda f: f.attrs.__setitem__("layer_names", [1]), "not a list of names", id="numbers"
        ),
        pytest.param(
            lambda f: f.attrs.__setitem__("layer_names", ["x"] * 3000), "too long", id="many names"
        ),
        pytest.param(lambda f: f.__delitem__("conv_dw_3"), "no 'conv_dw_3'", id="no layer"),
        pytest.param(lambda f: f.__delitem__(KERNEL), f"there is no '{KERNEL}'", id="no tensor"),
        pytest.param(
            lambda f: f["conv1_bn"].attrs.__setitem__("weight_names", ["conv1_bn/gamma"]),
            "conv1_bn/gamma; gamma, beta, moving_mean, moving_variance belong there",
            id="parts",
        ),
        pytest.param(
            lambda f: replace(f, KERNEL, np.zeros((3, 3, 33, 1), np.float32)),
            "does not go with batch norm",
            id="channels",
        ),
        pytest.param(
            lambda f: replace(f, KERNEL, np.zeros((32, 9), np.float32)),
            "conv_dw_3 has a kernel",
            id="axes",
        ),
        pytest.param(
            lambda f: replace(f, KERNEL, np.full((3, 3, 32, 1), np.nan, np.float32)),
            "not a finite number",
            id="nan",
        ),
        pytest.param(
            lambda f: replace(f, KERNEL, np.zeros((3, 3, 32, 1), int)), "not a float", id="ints"
        ),
        pytest.param(lambda f: replace(f, KERNEL, "text"), "not a float", id="text"),
        pytest.param(lambda f: replace(f, KERNEL, h5py.Empty("f4")), "declares None", id="empty"),
        pytest.param(
            lambda f: declare(f, KERNEL, (10**6, 10**6), chunks=(100, 100)), "declares", id="huge"
        ),
        pytest.param(lambda f: declare(f, KERNEL, (1000, 1000)), "stores 0", id="unwritten"),
        pytest.param(
            lambda f: declare(f, KERNEL, (1000, 1000), data=np.zeros((1000, 1000)), compression=9),
            "declares 4000000 bytes and stores",
            id="bomb",
        ),
        pytest.param(
            lambda f: declare(f, KERNEL, (3, 3, 32, 1), external="/etc/passwd"),
            "are in another file",
            id="external storage",
        ),
        pytest.param(virtual, "are in another file", id="virtual"),
        pytest.param(
            lambda f: replace(f, KERNEL, h5py.ExternalLink("/etc/passwd", "/kernel")),
            "a link to elsewhere",
            id="external link",
        ),
        pytest.param(
            lambda f: replace(f, "conv_dw_3", h5py.SoftLink("/conv_dw_3")), "a link", id="soft link"
        ),
        pytest.param(
            lambda f: replace(f, "conv_dw_3", f["conv1"]), "conv_dw_3_bn: a kernel", id="twice"
        ),
        pytest.param(
            lambda f: replace(f, "conv_dw_3", np.zeros(3)), "not a group", id="tensor for a layer"
        ),
        pytest.param(
            lambda f: replace(f, KERNEL, f["conv1"]), "not a tensor", id="layer for a tensor"
        ),
    ],
)  # fmt: skip
def test_a_named_file_that_is_damaged_or_hostile_is_one_clear_error(
    damage: Damage, text: str, named: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(named, tmp_path))
    with h5py.File(path, "a") as file:
        damage(file)
    with pytest.raises(CheckpointError) as caught:
        keras_h5.read(path, "mobilenet_v1")
    assert str(caught.value).startswith("v1.h5: ")
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def within_itself(file: h5py.File) -> None:
    """Groups without weights that hold each other under many names."""
    del file["layers"]
    layers = file.create_group("layers")
    for index in range(60):
        layers[f"again_{index}"] = layers


def endless(file: h5py.File) -> None:
    file.create_group("layers/sequential/" + "/".join(["layers"] * 600))


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        pytest.param(
            lambda f: f.__delitem__("layers/conv2d_5"),
            "layers/conv2d_5, which is conv_pw_5 of the family, is missing",
            id="missing",
        ),
        pytest.param(
            lambda f: f.copy("layers/conv2d", "layers/conv2d_99"),
            "layers are not of the family: conv2d_99",
            id="surplus",
        ),
        pytest.param(
            lambda f: f.create_dataset("layers/rescaling/vars/0", data=np.zeros(1)),
            "layers are not of the family: rescaling",
            id="layer of another kind",
        ),
        pytest.param(
            lambda f: f.__delitem__("layers/batch_normalization_2/vars/3"),
            "layers/batch_normalization_2 has 3 tensors",
            id="parts",
        ),
        pytest.param(
            lambda f: replace(f, "layers/conv2d_5", h5py.ExternalLink("/etc/passwd", "x")),
            "a link to elsewhere",
            id="external link",
        ),
        pytest.param(lambda f: f.__delitem__("layers"), "no Keras weights", id="no layers"),
        pytest.param(within_itself, "layers/conv2d, which is conv1 of", id="cycle"),
        pytest.param(endless, "has more than 500 parts", id="deep"),
    ],
)  # fmt: skip
def test_a_counted_file_that_is_damaged_or_hostile_is_one_clear_error(
    damage: Damage, text: str, counted: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(counted, tmp_path))
    with h5py.File(path, "a") as file:
        damage(file)
    with pytest.raises(CheckpointError) as caught:
        keras_h5.read(path, "mobilenet_v1")
    assert str(caught.value).startswith("v1.weights.h5: ")
    assert text in str(caught.value)


def test_the_other_family_is_rejected(named: Path, counted: Path) -> None:
    with pytest.raises(
        CheckpointError, match="has 55 layers with weights where the family has 105"
    ):
        keras_h5.read(named, "mobilenet_v2")
    with pytest.raises(CheckpointError, match="has 2 tensors; kernel belong there"):
        keras_h5.read(counted, "mobilenet_v2")


def test_weights_without_the_classifier_are_rejected(tmp_path: Path) -> None:
    path = write_named(tmp_path / "no_top.h5", V1)
    with h5py.File(path, "a") as file:
        kept = [name for name in file.attrs["layer_names"] if name != "conv_preds"]
        file.attrs["layer_names"] = kept
    with pytest.raises(CheckpointError, match="missing: conv_preds; surplus: none"):
        keras_h5.read(path, "mobilenet_v1")


FLIP = """
import sys
from pathlib import Path
import numpy as np
from models.checkpoints.keras import keras_h5
from models.checkpoints.checkpoint import CheckpointError
whole, path = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
random = np.random.default_rng(7)
refused = 0
for turn in range(60):
    damaged = bytearray(whole)
    for at in random.integers(0, len(whole) if turn % 2 else 60_000, 40):
        damaged[at] = random.integers(256)
    path.write_bytes(damaged[: random.integers(1, len(whole))] if turn % 5 == 0 else damaged)
    try:
        keras_h5.read(path, "mobilenet_v1")
    except CheckpointError:
        refused += 1
print(refused)
"""


@pytest.mark.unmeasured
@pytest.mark.parametrize("layout", ["named", "counted"])
def test_damage_anywhere_is_a_checkpoint_error_and_never_a_crash(
    layout: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """In a process of its own: the library that reads HDF5 is written in C."""
    command = [sys.executable, "-c", FLIP, str(request.getfixturevalue(layout)), "damaged.h5"]
    root = Path(__file__).parents[4]
    run = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(root)}, capture_output=True, text=True,
        timeout=LIVELINESS_S, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    assert int(run.stdout) > 20


def test_many_names_that_are_one_long_text_are_rejected_before_they_take_the_memory(
    tmp_path: Path,
) -> None:
    """0.4 MB that would be 700 MB, as texts are kept by reference."""
    path, count, length = tmp_path / "own.h5", 1_999, 350_000
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["x" * length] + ["y"] * (count - 1)
    content = bytearray(path.read_bytes())
    heaps = [
        at.to_bytes(8, "little")
        for at in range(0, len(content), 8)
        if content[at : at + 4] == b"GCOL"
    ]
    sized = length.to_bytes(4, "little")
    [reference] = [
        bytes(content[at : at + 16]) for heap in heaps if (at := content.find(sized + heap)) > 0
    ]
    at = content.find(reference)
    content[at : at + 16 * count] = reference * count
    path.write_bytes(content)
    with pytest.raises(
        CheckpointError, match=r"'layer_names' has 1999 texts of up to 35\d{4} bytes"
    ):
        keras_h5.family_of(path)

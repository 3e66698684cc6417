import pickle
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from models.checkpoints.checkpoint import CheckpointError
from models.checkpoints.torch.torch_pickle import read_state_dict
from tests.models.checkpoints.torch import torch_files as write

DATA = Path(__file__).parent / "data"
Layout = Callable[..., bytes]
both_layouts = pytest.mark.parametrize("layout", write.LAYOUTS.values(), ids=list(write.LAYOUTS))
WEIGHT = write.tensor(write.storage("0", 4), (2, 2), (2, 1))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "weights.pth"


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("torch") / "weights.pth"


@pytest.mark.parametrize("layout", ["zip", "legacy"])
def test_every_type_and_view_that_torch_saves_is_read(layout: str) -> None:
    tensors = read_state_dict(DATA / f"tensors_{layout}.pth")
    grid = np.arange(24, dtype=np.float32).reshape(4, 6)
    expected: dict[str, Any] = {
        "float32": grid / 8,
        "float64": np.arange(3) / 8,
        "half": (np.arange(5) / 8).astype(np.float16),
        "int64": np.arange(4),
        "int32": np.arange(4, dtype=np.int32),
        "uint8": np.arange(4, dtype=np.uint8),
        "flags": np.array([True, False, True]),
        "scalar": np.array(7),
        "shared_whole": grid,
        "shared_transposed": grid.T,
        "shared_window": grid[1:3, 2:5],
        "shared_every_second": grid[:, ::2],
        "parameter": np.array([0.5, 1.5], np.float32),
    }
    assert list(tensors) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(tensors[name], values, strict=True)
        assert not tensors[name].flags.writeable


def test_both_layouts_of_one_network_hold_the_same() -> None:
    new, old = (read_state_dict(DATA / f"network_{layout}.pth") for layout in ("zip", "legacy"))
    assert new.keys() == old.keys()
    assert all(np.array_equal(new[name], old[name]) for name in new)


def test_the_real_default_weights_have_torchvisions_parameter_count(default_weights: Path) -> None:
    tensors = read_state_dict(default_weights)
    trainable = [name for name in tensors if name.endswith((".weight", ".bias"))]
    assert len(tensors) == 314
    assert sum(tensors[name].size for name in trainable) == 3_504_872


@pytest.mark.parametrize("layout", ["zip", "legacy"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("bfloat16", "its tensors are bfloat16, which NumPy does not have; save them as float32"),
        ("numbered", "its tensors have numbers (0), not the names of layers"),
        ("expanded", "shape (1000,), strides (0,), offset 0 do not fit 1 elements"),
    ],
)
def test_what_torch_saves_beyond_plain_tensors_is_rejected(
    layout: str, name: str, reason: str
) -> None:
    with pytest.raises(CheckpointError) as refusal:
        read_state_dict(DATA / f"{name}_{layout}.pth")
    assert reason in str(refusal.value)
    assert f"{name}_{layout}.pth" in str(refusal.value)


def test_a_program_of_torch_is_rejected_with_what_to_save_instead() -> None:
    with pytest.raises(CheckpointError, match=r"it is TorchScript.*save\(model\.state_dict\(\)"):
        read_state_dict(DATA / "script_zip.pth")


@pytest.mark.parametrize("layout", ["zip", "legacy"])
def test_a_state_dict_that_torch_saved_within_another_dict_is_read(layout: str) -> None:
    tensors = read_state_dict(DATA / f"nested_{layout}.pth")
    assert tensors.keys() == read_state_dict(DATA / f"network_{layout}.pth").keys()


ONE = write.tensor(write.storage("0", 4), (2, 2), (2, 1))
TWO = write.tensor(write.storage("1", 1), (), ())
NAMESPACE = write.name("argparse Namespace") + b")\x81" + write.mapping({"lr": b"N"}) + b"b"


@both_layouts
@pytest.mark.parametrize(
    ("keys", "chosen"),
    [
        (["state_dict"], "state_dict"),
        (["model"], "model"),
        (["model_state_dict"], "model_state_dict"),
        (["model", "model_ema"], "model_ema"),
        (["state_dict", "state_dict_ema"], "state_dict_ema"),
    ],
)
def test_the_averaged_weights_of_a_training_loop_come_before_the_plain_ones(
    file: Path, layout: Layout, keys: list[str], chosen: str
) -> None:
    """Beside them: what torchvision and timm save too, with numbers as keys and a Namespace."""
    moments = b"}(" + write.number(0) + write.mapping({"step": TWO}) + b"u"
    optimizer = write.mapping({"state": moments, "lr": b"G" + bytes(8)})
    besides = {"epoch": write.number(3), "optimizer": optimizer, "args": NAMESPACE}
    weights = {key: write.mapping({f"of_{key}": ONE}) for key in keys}
    storages = {"0": np.arange(4, dtype=np.float32), "1": np.array([7], np.float32)}
    file.write_bytes(layout(write.mapping(weights | besides), storages))
    assert list(read_state_dict(file)) == [f"of_{chosen}"]


@both_layouts
@pytest.mark.parametrize(
    "code",
    [
        pytest.param(
            b"}q\x00" + b"(" + write.text("model") + b"h\x00u", id="a dict that is its own model"
        ),
        pytest.param(
            b"}(" + write.text("model") + write.mapping({"w": ONE}) + write.text("more")
            + b")" + b"".join(b"q%ch%c\x86" % (n, n) for n in range(60)) + b"u",
            id="2 to the 60 tuples",
        ),
        pytest.param(
            b"}(" + write.text("model") + write.mapping({"w": ONE}) + write.text("more")
            + b"]q\x00h\x00au",
            id="a list in itself",
        ),
    ],
)  # fmt: skip
def test_a_pickle_that_holds_itself_or_grows_without_end_is_read_once(
    file: Path, layout: Layout, code: bytes
) -> None:
    file.write_bytes(layout(code, {"0": np.arange(4, dtype=np.float32)}))
    try:
        assert list(read_state_dict(file)) == ["w"]
    except CheckpointError as error:
        assert "'model' is a dict, not a tensor" in str(error)  # noqa: PT017  # most inputs raise nothing


@both_layouts
@settings(deadline=None, max_examples=50)
@given(
    values=arrays.arrays(
        st.sampled_from([np.float16, np.float32, np.float64, np.int32, np.int64]),
        arrays.array_shapes(max_dims=4, max_side=4),
    )
)
def test_what_is_written_is_read(
    scratch: Path, layout: Layout, values: np.ndarray[Any, Any]
) -> None:
    scratch.write_bytes(layout(*write.state_dict({"weight": values})))
    np.testing.assert_array_equal(read_state_dict(scratch)["weight"], values, strict=True)


class Malicious:
    """Pickled by Python itself, it runs a shell command when it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return subprocess.getoutput, (f"touch {self.witness}",)


def evil(witness: Path) -> dict[str, bytes]:
    """Pickle instructions that would make the witness, or get at something that could."""
    command = write.text(f"touch {witness}")
    python = write.text(f"open({str(witness)!r}, 'w')")
    fetched = write.call("builtins getattr", write.name("builtins object"), write.text("__class__"))
    return {
        "posix.system": write.call("posix system", command),
        "os.system": write.call("os system", command),
        "builtins.eval": write.call("builtins eval", python),
        "builtins.getattr": fetched + write.sequence(python) + b"R",
        "__builtin__.eval": write.call("__builtin__ eval", python),
        "torch.load": write.call("torch load", command),
        "torch._utils._rebuild_tensor_v2.__globals__": write.name(
            "torch._utils _rebuild_tensor_v2.__globals__"
        ),
        "INST": b"(" + command + b"ios\nsystem\n",
        "OBJ": b"(" + write.name(write.ORDERED_DICT) + b"o",
        "NEWOBJ": write.name(write.ORDERED_DICT) + b")\x81",
        "EXT1": b"\x82\x01",
        "STACK_GLOBAL": write.text("os") + write.text("system") + b"\x93",
        "DUP": b")2\x86",
    }


@both_layouts
@pytest.mark.parametrize("what", evil(Path("witness")))
def test_a_malicious_pickle_is_rejected_by_name_and_not_run(
    file: Path, layout: Layout, what: str
) -> None:
    witness = file.with_name("witness")
    file.write_bytes(layout(write.mapping({"weight": evil(witness)[what]}), write.FOUR))
    with pytest.raises(CheckpointError, match=rf"(asks for|uses) {what}, which is not allowed"):
        read_state_dict(file)
    assert not witness.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_python_itself_would_run_is_rejected(file: Path, protocol: int) -> None:
    witness = file.with_name("witness")
    file.write_bytes(pickle.dumps(Malicious(witness), protocol))
    with pytest.raises(CheckpointError, match=r"not allowed|neither a zip nor a pickle"):
        read_state_dict(file)
    assert not witness.exists()


@both_layouts
@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        pytest.param((2, 2), (4, 1), 0, id="strides reach behind the end"),
        pytest.param((2, 2), (2, 1), 1, id="offset reaches behind the end"),
        pytest.param((2,), (-1,), 1, id="negative stride"),
        pytest.param((2,), (1,), -1, id="negative offset"),
        pytest.param((-2,), (1,), 0, id="negative size"),
        pytest.param((2, 2), (1,), 0, id="a stride is missing"),
        pytest.param((0,), (1,), 0, id="nothing in it"),
        pytest.param((1 << 62, 1), (0, 0), 0, id="absurd size"),
        pytest.param((1,), (1,), 1 << 70, id="offset beyond 64 bits"),
        pytest.param((1,) * 80, (1,) * 80, 0, id="more axes than NumPy has"),
        pytest.param((1, 2), (1 << 80, 1), 0, id="stride beyond 64 bits"),
    ],
)
def test_a_view_that_leaves_its_storage_is_rejected(
    file: Path, layout: Layout, shape: tuple[int, ...], strides: tuple[int, ...], offset: int
) -> None:
    view = write.tensor(write.storage("0", 4), shape, strides, offset)
    file.write_bytes(layout(write.mapping({"weight": view}), write.FOUR))
    with pytest.raises(CheckpointError, match=r"weights\.pth: 'weight': "):
        read_state_dict(file)


@both_layouts
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (write.sequence(), "holds a tuple, not a dict of tensors"),
        (write.mapping({"epoch": write.number(3)}), "'epoch' is a int, not a tensor"),
        (
            write.mapping({"weight": write.tensor(write.storage("0", 1 << 40), (1,), (1,))}),
            "storage|cut off",
        ),
        (
            write.mapping({"weight": write.tensor(write.storage("9", 4), (1,), (1,))}),
            "there is no storage '9'|not those that its tensors use",
        ),
    ],
)
def test_a_file_that_does_not_fit_itself_is_rejected(
    file: Path, layout: Layout, content: bytes, reason: str
) -> None:
    file.write_bytes(layout(content, write.FOUR))
    with pytest.raises(CheckpointError, match=reason):
        read_state_dict(file)


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(CheckpointError, match=r"weights\.pth: No such file"):
        read_state_dict(file)


def legacy_with(**parts: bytes) -> bytes:
    """A good file of the old layout with some of its pickles replaced."""
    good = {
        "magic": write.number(write.MAGIC),
        "protocol": write.number(1001),
        "facts": write.mapping({"little_endian": b"\x88"}),
        "content": write.mapping({"weight": WEIGHT}),
        "keys": write.listed(write.text("0")),
    }
    data = (4).to_bytes(8, "little") + write.FOUR["0"].tobytes()
    return b"".join(write.pickled(part) for part in (good | parts).values()) + data


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (legacy_with(magic=write.number(7)), "magic number is another one"),
        (legacy_with(protocol=write.number(7)), "protocol is not 1001"),
        (legacy_with(facts=write.mapping({"little_endian": b"\x89"})), "little-endian"),
        (legacy_with(facts=write.listed()), "little-endian"),
        (legacy_with(keys=write.text("0")), "keys are not a list of strings"),
        (legacy_with(keys=write.listed(write.number(0))), "keys are not a list of strings"),
        (legacy_with(keys=write.listed(write.text("1"))), "not those that its tensors use"),
        (legacy_with() + b"more", "4 bytes follow its last storage"),
        (legacy_with()[:-1], "storage 0 is cut off: 4 elements do not fit"),
        (legacy_with().replace(b"\x04" + b"\0" * 7, b"\xff" * 8), "-1 elements do not fit"),
        (write.pickled()[:2], "not a pickle, or cut off"),
        (b"", "neither a zip nor a pickle"),
        (b"GIF89a, not a checkpoint", "neither a zip nor a pickle"),
    ],
)
def test_a_damaged_file_of_the_old_layout_is_rejected(
    file: Path, content: bytes, reason: str
) -> None:
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=reason):
        read_state_dict(file)


def zip_with(entries: dict[str, bytes], path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def test_a_compressed_zip_is_rejected_before_it_is_unpacked(file: Path) -> None:
    bomb = {"0": np.zeros(1 << 20, np.float32)}
    file.write_bytes(write.zipped(write.mapping({"weight": WEIGHT}), bomb, zipfile.ZIP_DEFLATED))
    with pytest.raises(CheckpointError, match=r"data\.pkl is compressed; torch and Keras"):
        read_state_dict(file)


@pytest.mark.parametrize("count", [0, 2])
def test_a_zip_without_one_pickle_is_rejected(file: Path, count: int) -> None:
    zip_with({"readme": b"", **{f"{n}/data.pkl": write.pickled(b"}") for n in range(count)}}, file)
    with pytest.raises(CheckpointError, match=f"the zip has {count} data.pkl, not one"):
        read_state_dict(file)


def test_a_big_endian_zip_is_rejected(file: Path) -> None:
    zip_with({"a/data.pkl": write.pickled(b"}"), "a/byteorder": b"big"}, file)
    with pytest.raises(CheckpointError, match="big-endian storages are not supported"):
        read_state_dict(file)


def test_a_zip_that_tells_an_entry_twice_is_rejected(file: Path) -> None:
    zip_with({"a/data.pkl": write.pickled(b"}"), "b/data.pkl": write.pickled(b"}")}, file)
    file.write_bytes(file.read_bytes().replace(b"b/data.pkl", b"a/data.pkl"))
    with pytest.raises(CheckpointError, match="entries of the zip overlap or share a name"):
        read_state_dict(file)


@pytest.mark.unmeasured
@pytest.mark.parametrize("layout", ["zip", "legacy"])
@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_a_file_cut_off_anywhere_is_rejected(
    scratch: Path, layout: str, data: st.DataObject
) -> None:
    whole = (DATA / f"tensors_{layout}.pth").read_bytes()
    scratch.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(CheckpointError):
        read_state_dict(scratch)


@pytest.mark.unmeasured
@pytest.mark.parametrize("layout", ["zip", "legacy"])
@settings(deadline=None, max_examples=500)
@given(data=st.data())
def test_a_file_with_changed_bytes_is_read_or_rejected(
    scratch: Path, layout: str, data: st.DataObject
) -> None:
    content = bytearray((DATA / f"tensors_{layout}.pth").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    scratch.write_bytes(content)
    try:
        tensors = read_state_dict(scratch)
    except CheckpointError:
        return
    assert sum(tensor.copy().nbytes for tensor in tensors.values()) < 10 * len(content)

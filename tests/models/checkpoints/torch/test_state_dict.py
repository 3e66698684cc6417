from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from models.checkpoints.checkpoint import CheckpointError
from models.checkpoints.torch.state_dict import read_tensors
from tests.models.checkpoints.torch import torch_files as write
from tests.models.checkpoints.torch.state_dicts import Tensors

WEIGHTS: Tensors = {
    "features.0.weight": np.arange(4, dtype=np.float32),
    "features.0.bias": np.ones(2, np.float32),
}
Save = Callable[[Tensors, Path], Path]


def as_pth(tensors: Tensors, folder: Path) -> Path:
    path = folder / "weights.pth"
    path.write_bytes(write.zipped(*write.state_dict(tensors)))
    return path


def as_safetensors(tensors: Tensors, folder: Path) -> Path:
    path = folder / "weights.safetensors"
    save_file(tensors, path)
    return path


both_files = pytest.mark.parametrize("save", [as_pth, as_safetensors])


@both_files
@pytest.mark.parametrize(
    "prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "module.module."]
)
def test_prefixes_of_training_are_removed(tmp_path: Path, save: Save, prefix: str) -> None:
    wrapped = {f"{prefix}{name}": values for name, values in WEIGHTS.items()}
    tensors = read_tensors(save(wrapped, tmp_path))
    assert tensors.keys() == WEIGHTS.keys()
    for name, values in WEIGHTS.items():
        np.testing.assert_array_equal(tensors[name], values)


@both_files
def test_counters_are_left_out_and_do_not_hide_a_prefix(tmp_path: Path, save: Save) -> None:
    averaged = {f"module.{name}": values for name, values in WEIGHTS.items()}
    averaged |= {"n_averaged": np.array(9), "module.features.0.num_batches_tracked": np.array(9)}
    assert read_tensors(save(averaged, tmp_path)).keys() == WEIGHTS.keys()


@both_files
def test_a_prefix_of_some_names_only_is_part_of_them(tmp_path: Path, save: Save) -> None:
    mixed = {"module.weight": np.ones(2, np.float32), "bias": np.ones(2, np.float32)}
    assert read_tensors(save(mixed, tmp_path)).keys() == mixed.keys()


@pytest.mark.parametrize("content", [b"", b"{", b"\x89PNG\r\n\x1a\n" * 4, b"\0" * 100])
def test_another_file_is_rejected(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: not a torch file"):
        read_tensors(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"weights\.pth: No such file"):
        read_tensors(tmp_path / "weights.pth")

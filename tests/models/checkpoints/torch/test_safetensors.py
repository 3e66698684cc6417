import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.numpy import save

from models.checkpoints.checkpoint import CheckpointError
from models.checkpoints.torch.safetensors import MAX_TENSORS, read_tensors
from models.checkpoints.torch.state_dict import read_tensors as read_any


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("safetensors") / "weights.safetensors"


def file_of(header: object, content: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content


def entry(dtype: str, shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@settings(deadline=None, max_examples=50)
@given(
    values=arrays.arrays(
        st.sampled_from([np.float16, np.float32, np.float64, np.int32, np.int64]),
        arrays.array_shapes(max_dims=4, max_side=4),
    )
)
def test_what_the_library_writes_is_read(scratch: Path, values: np.ndarray[Any, Any]) -> None:
    scratch.write_bytes(save({"weight": values}, {"format": "pt"}))
    np.testing.assert_array_equal(read_any(scratch)["weight"], values, strict=True)


WRONG = {
    "header cut off": (100).to_bytes(8, "little") + b'{"a": ',
    "header of 4 GB": (1 << 32).to_bytes(8, "little") + b"{}",
    "no JSON": file_of(b"{oops}"),
    "not UTF-8": file_of(b'{"\xff": 1}'),
    "bytes missing": file_of({"w": entry("F32", [4], 0, 16)}, bytes(8)),
    "bytes left over": file_of({"w": entry("F32", [1], 0, 4)}, bytes(8)),
    "shape of another size": file_of({"w": entry("F32", [3], 0, 16)}, bytes(16)),
    "shape that overflows": file_of({"w": entry("F32", [1 << 62, 1 << 62], 0, 16)}, bytes(16)),
    "overlap": file_of({"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 4, 12)}, bytes(12)),
    "unknown type": file_of({"w": entry("F99", [1], 0, 4)}, bytes(4)),
    "bfloat16": file_of({"w": entry("BF16", [2], 0, 4)}, bytes(4)),
    "no offsets": file_of({"w": {"dtype": "F32", "shape": [1]}}, bytes(4)),
    "offsets backwards": file_of({"w": entry("F32", [1], 4, 0)}, bytes(4)),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_file_that_does_not_fit_itself_is_rejected(tmp_path: Path, what: str) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(WRONG[what])
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: not a readable safetensors"):
        read_tensors(path)


def test_thousands_of_tensors_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(save({str(n): np.ones(1, np.float32) for n in range(MAX_TENSORS + 1)}))
    with pytest.raises(CheckpointError, match=f"{MAX_TENSORS + 1} tensors, more than"):
        read_tensors(path)


WHOLE = save({"weight": np.arange(6, dtype=np.float32), "bias": np.ones(3, np.float32)})


@pytest.mark.unmeasured
@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_damaged_file_is_read_or_rejected(scratch: Path, data: st.DataObject) -> None:
    content = bytearray(WHOLE[: data.draw(st.integers(0, len(WHOLE)))])
    for _ in range(data.draw(st.integers(0, 3 if content else 0))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    scratch.write_bytes(content)
    try:
        tensors = read_tensors(scratch)
    except CheckpointError:
        return
    assert sum(tensor.nbytes for tensor in tensors.values()) <= len(content)

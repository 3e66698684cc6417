"""Tensors go out and come back; what does not fit its shape is refused by name."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import BadRequest
from app.oip.tensors import (
    InputTensor,
    OutputTensor,
    pack_bytes,
    read_files,
    read_pixels,
    unpack_bytes,
)
from tests.app.sample_images import as_base64

SMALL = st.lists(st.binary(max_size=40), max_size=8)


@settings(deadline=None)
@given(SMALL)
def test_bytes_come_back_as_they_went(elements: list[bytes]) -> None:
    assert unpack_bytes(pack_bytes(elements)) == elements


@settings(deadline=None)
@given(SMALL.filter(bool), st.data())
def test_bytes_that_are_cut_off_are_refused_or_fewer(
    elements: list[bytes], data: st.DataObject
) -> None:
    packed = pack_bytes(elements)
    cut = packed[: data.draw(st.integers(0, len(packed) - 1))]
    tensor = InputTensor("image", "BYTES", (len(elements),), cut)
    with pytest.raises(BadRequest, match="image"):
        read_files(tensor)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_hostile_bytes_are_elements_or_a_clear_refusal(raw: bytes) -> None:
    try:
        elements = unpack_bytes(raw)
    except BadRequest:
        return
    assert pack_bytes(elements) == raw


def test_raw_and_json_pixels_are_the_same() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(1, 2, 4, 3)
    raw = InputTensor("image", "UINT8", pixels.shape, pixels.tobytes())
    nested = InputTensor("image", "UINT8", pixels.shape, data=pixels.tolist())
    flat = InputTensor("image", "UINT8", pixels.shape, data=pixels.ravel().tolist())
    for tensor in (raw, nested, flat):
        found = read_pixels(tensor)
        assert found.dtype == np.uint8
        assert np.array_equal(found, pixels)


def test_files_in_json_are_base64() -> None:
    files = [b"\xff\xd8one", b"two"]
    texts = [as_base64(files[0]), f"data:image/png;base64,{as_base64(files[1])}"]
    assert read_files(InputTensor("image", "BYTES", (2,), data=texts)) == files
    assert read_files(InputTensor("image", "BYTES", (2, 1), data=[[text] for text in texts])) == (
        files
    )


@pytest.mark.parametrize(
    ("read", "tensor", "said"),
    [
        pytest.param(
            read_pixels, InputTensor("image", "UINT8", (1, 1, 1, 3), b"ab"), "2 were sent", id="few"
        ),
        pytest.param(
            read_pixels,
            InputTensor("image", "UINT8", (1, 1, 1, 3), data=[0, 1, 256]),
            "outside 0 to 255",
            id="large",
        ),
        pytest.param(
            read_pixels,
            InputTensor("image", "UINT8", (1, 1, 1, 3), data=[0, -1, 2]),
            "outside 0 to 255",
            id="negative",
        ),
        pytest.param(
            read_pixels,
            InputTensor("image", "UINT8", (1, 1, 1, 3), data=[0.5, 1, 2]),
            "not whole numbers",
            id="fractions",
        ),
        pytest.param(
            read_pixels,
            InputTensor("image", "UINT8", (1, 1, 1, 3), data=[[1], [2, 3]]),
            "not a regular array",
            id="ragged",
        ),
        pytest.param(
            read_pixels,
            InputTensor("image", "UINT8", (1, 1, 1, 3), data={"a": 1}),
            "not a list",
            id="object",
        ),
        pytest.param(
            read_files,
            InputTensor("image", "BYTES", (1,), data=["not base64!"]),
            r"image\[0\] is not base64",
            id="not-base64",
        ),
        pytest.param(
            read_files, InputTensor("image", "BYTES", (1,), data=[5]), "text in base64", id="number"
        ),
        pytest.param(
            read_files, InputTensor("image", "BYTES", (1,), data="AAAA"), "not a list", id="text"
        ),
        pytest.param(
            read_files,
            InputTensor("image", "BYTES", (3,), pack_bytes([b"a", b"b"])),
            "3 elements, but 2 were sent",
            id="fewer-files",
        ),
        pytest.param(
            read_files,
            InputTensor("image", "BYTES", (1,), pack_bytes([b"a", b"b"]) + b"cut off"),
            "1 elements, but more were sent",
            id="more-files",
        ),
        pytest.param(
            read_files,
            InputTensor("image", "BYTES", (1,), data=["not base64!", "AAAA"]),
            "1 elements, but 2 were sent",
            id="more-texts",
        ),
        pytest.param(
            read_pixels,
            InputTensor("image", "UINT8", (1, 1, 1, 3), data=["1", "2", "3"]),
            "not whole numbers",
            id="digits-as-text",
        ),
        pytest.param(
            read_pixels,
            InputTensor("image", "UINT8", (1, 1, 1, 3), data=[True, 1, 2]),
            "not whole numbers",
            id="true",
        ),
        pytest.param(
            read_pixels,
            InputTensor("image", "UINT8", (1, 1, 1, 3), data=[10**30, 1, 2]),
            "outside 0 to 255",
            id="endless-number",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    read: Callable[[InputTensor], object], tensor: InputTensor, said: str
) -> None:
    with pytest.raises(BadRequest, match=said):
        read(tensor)


def test_one_long_text_among_many_does_not_fill_the_memory() -> None:
    texts = ["a" * 10_000] + ["b"] * 2_000
    tensor = InputTensor("image", "UINT8", (1, 23, 29, 3), data=texts)
    tracemalloc.start()
    try:
        with pytest.raises(BadRequest, match="not whole numbers"):
            read_pixels(tensor)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 2_000_000  # 80 MB if each had the room of the longest


def test_outputs_say_what_they_are() -> None:
    numbers = OutputTensor("probabilities", np.array([[0.25, 0.75]], np.float32))
    assert (numbers.datatype, numbers.shape) == ("FP32", [1, 2])
    assert np.array_equal(np.frombuffer(numbers.raw(), "<f4"), [0.25, 0.75])
    assert numbers.json() == [0.25, 0.75]
    texts = OutputTensor("probabilities", [[b"0.750000:1:dog"], [b"0.5:0:cat"]])
    assert (texts.datatype, texts.shape) == ("BYTES", [2, 1])
    assert unpack_bytes(texts.raw()) == [b"0.750000:1:dog", b"0.5:0:cat"]
    assert texts.json() == ["0.750000:1:dog", "0.5:0:cat"]

"""Tensors on the wire: JSON or raw bytes to arrays, and back.

Raw tensors are little-endian, row-major and without padding. An element of type BYTES is its length
as 4 bytes and its content ("Binary Tensor Data Extension" of the protocol). JSON has no type for
bytes, so an image in JSON is base64, like in POST /predict.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.errors import BadRequest
from app.request.base64_image import from_base64

Datatype = Literal["UINT8", "FP32", "BYTES"]
Parameters = dict[str, Any]
MAX_EXCERPT_CHARS = 100
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class InputTensor:
    """A tensor of a request; its elements are in `raw` or in `data`."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    raw: bytes | memoryview | None = None
    data: Any = None  # from JSON, or a sequence of typed contents from protobuf
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OutputTensor:
    """A tensor of an answer: float32 of any shape, or texts [N, classes] of a classification."""

    name: str
    values: NDArray[np.float32] | list[list[bytes]]
    binary: bool = False

    @property
    def datatype(self) -> Datatype:
        return "BYTES" if isinstance(self.values, list) else "FP32"

    @property
    def shape(self) -> list[int]:
        if isinstance(self.values, list):
            return [len(self.values), len(self.values[0])]
        return list(self.values.shape)

    def raw(self) -> bytes:
        if isinstance(self.values, list):
            return pack_bytes([text for row in self.values for text in row])
        return self.values.astype("<f4", copy=False).tobytes()

    def json(self) -> list[Any]:
        """The elements as one flat list."""
        if isinstance(self.values, list):
            return [text.decode() for row in self.values for text in row]
        flat: list[Any] = self.values.ravel().tolist()
        return flat


def excerpt(value: object) -> str:
    """Shorten a value of the client for an error text."""
    return str(value)[:MAX_EXCERPT_CHARS]


def read_pixels(tensor: InputTensor) -> NDArray[np.uint8]:
    """Read a UINT8 tensor in its shape; raw elements are not copied.

    Raises:
        BadRequest: their number does not match the shape, or one is not a whole number of 0 to 255.
    """
    raw = tensor.raw
    flat = _read_numbers(tensor) if raw is None else np.frombuffer(raw, np.uint8)
    _check_count(tensor, flat.size)
    return flat.reshape(tensor.shape)


def read_files(tensor: InputTensor) -> list[bytes]:
    """Read the elements of a BYTES tensor, in order.

    Raises:
        BadRequest: their number does not match the shape, or one is cut off or not base64.
    """
    if tensor.raw is not None:
        files = unpack_bytes(tensor.raw, tensor.name, prod(tensor.shape))
        _check_count(tensor, len(files))
        return files
    elements = _flatten(tensor)
    _check_count(tensor, len(elements))  # before they are decoded
    files = []
    for index, element in enumerate(elements):
        if isinstance(element, str):
            element = from_base64(element, f"{tensor.name}[{index}]")
        elif not isinstance(element, bytes):
            raise BadRequest(f"{tensor.name}: BYTES elements in JSON must be text in base64.")
        files.append(element)
    return files


def pack_bytes(elements: Sequence[bytes]) -> bytes:
    return b"".join(part for element in elements for part in (_LENGTH.pack(len(element)), element))


def unpack_bytes(
    raw: bytes | memoryview, name: str = "tensor", max_elements: int | None = None
) -> list[bytes]:
    """Read the BYTES elements in raw bytes.

    Raises:
        BadRequest: the last one is cut off, or there are more than `max_elements`.
    """
    view = memoryview(raw)
    elements: list[bytes] = []
    start = 0
    while start < len(view):
        if len(elements) == max_elements:  # inside the loop: a body holds millions of empty ones
            raise BadRequest(f"{name}: the shape has {max_elements} elements, but more were sent.")
        if start + _LENGTH.size > len(view):
            raise BadRequest(f"{name}: the length of element {len(elements)} is cut off.")
        (size,) = _LENGTH.unpack_from(view, start)
        start += _LENGTH.size
        if start + size > len(view):
            raise BadRequest(
                f"{name}: element {len(elements)} declares {size} bytes, "
                f"but {len(view) - start} are left."
            )
        elements.append(bytes(view[start : start + size]))
        start += size
    return elements


def _read_numbers(tensor: InputTensor) -> NDArray[np.uint8]:
    """Read the numbers of flat or nested lists; NumPy would take three times as long."""
    data = tensor.data
    if isinstance(data, str) or not isinstance(data, Sequence):
        raise BadRequest(f"{tensor.name}: data is not a list.")
    while data and isinstance(data[0], list):
        if set(map(type, data)) != {list} or len(set(map(len, data))) != 1:
            raise BadRequest(f"{tensor.name}: data is not a regular array.")
        data = list(chain.from_iterable(data))
    _check_count(tensor, len(data))
    kinds = set(map(type, data))
    if list in kinds:
        raise BadRequest(f"{tensor.name}: data is not a regular array.")
    if kinds - {int}:
        raise BadRequest(f"{tensor.name}: data has elements that are not whole numbers.")
    try:
        return np.frombuffer(bytes(data), np.uint8)
    except ValueError:
        raise BadRequest(f"{tensor.name}: data has numbers outside 0 to 255.") from None


def _flatten(tensor: InputTensor) -> list[Any]:
    """List the elements of a list, or of a list of lists with one element each."""
    data = tensor.data
    if isinstance(data, str) or not isinstance(data, Sequence):
        raise BadRequest(f"{tensor.name}: data is not a list.")
    if len(data) > prod(tensor.shape):
        _check_count(tensor, len(data))  # before the loop over all of them
    return [element for row in data for element in (row if isinstance(row, list) else [row])]


def _check_count(tensor: InputTensor, count: int) -> None:
    if count != prod(tensor.shape):
        raise BadRequest(
            f"{tensor.name}: the shape {list(tensor.shape)} has {prod(tensor.shape)} elements, "
            f"but {count} were sent."
        )

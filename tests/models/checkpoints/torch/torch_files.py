"""Writes torch's two file layouts by hand, so that a test can put anything into them.

Each function gives the pickle instructions (protocol 2) that leave one object on the stack.
"""

import io
import zipfile
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
ORDERED_DICT = "collections OrderedDict"
REBUILD_TENSOR = "torch._utils _rebuild_tensor_v2"
MAGIC = 0x1950A86A20F9469CFC6C
KINDS = {"f": {2: "Half", 4: "Float", 8: "Double"}, "i": {4: "Int", 8: "Long"}}


def pickled(*code: bytes) -> bytes:
    return b"\x80\x02" + b"".join(code) + b"."


def text(value: str) -> bytes:
    encoded = value.encode()
    return b"X" + len(encoded).to_bytes(4, "little") + encoded


def number(value: int) -> bytes:
    encoded = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(encoded)]) + encoded


def sequence(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def listed(*items: bytes) -> bytes:
    return b"](" + b"".join(items) + b"e"


def mapping(items: Mapping[str, bytes]) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def name(dotted: str) -> bytes:
    """A name as "module attribute"."""
    return b"c" + dotted.replace(" ", "\n").encode() + b"\n"


def call(function: str, *arguments: bytes) -> bytes:
    return name(function) + sequence(*arguments) + b"R"


def storage(key: str, elements: int, kind: str = "torch FloatStorage") -> bytes:
    return sequence(text("storage"), name(kind), text(key), text("cpu"), number(elements)) + b"Q"


def tensor(
    where: bytes, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0
) -> bytes:
    sizes = (sequence(*map(number, values)) for values in (shape, strides))
    return call(REBUILD_TENSOR, where, number(offset), *sizes, b"\x89", call(ORDERED_DICT))


def state_dict(tensors: Mapping[str, Array]) -> tuple[bytes, dict[str, Array]]:
    """Instructions for a state dict, and the storages that they speak of."""
    described, storages = {}, {}
    for index, (label, values) in enumerate(tensors.items()):
        kind = f"torch {KINDS[values.dtype.kind][values.dtype.itemsize]}Storage"
        shape = values.shape
        strides = tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))
        described[label] = tensor(storage(str(index), values.size, kind), shape, strides)
        storages[str(index)] = values
    return mapping(described), storages


def legacy(content: bytes, storages: Mapping[str, Array]) -> bytes:
    """The layout before torch 1.6."""
    facts = mapping({"protocol_version": number(1001), "little_endian": b"\x88"})
    head = [number(MAGIC), number(1001), facts, content, listed(*map(text, storages))]
    data = [value.size.to_bytes(8, "little") + value.tobytes() for value in storages.values()]
    return b"".join([*map(pickled, head), *data])


def zipped(
    content: bytes, storages: Mapping[str, Array], compression: int = zipfile.ZIP_STORED
) -> bytes:
    """The layout since torch 1.6."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled(content))
        archive.writestr("archive/byteorder", "little")
        for key, value in storages.items():
            archive.writestr(f"archive/data/{key}", value.tobytes())
        archive.writestr("archive/version", "3\n")
    return stream.getvalue()


LAYOUTS = {"legacy": legacy, "zip": zipped}
FOUR = {"0": np.arange(4, dtype=np.float32)}

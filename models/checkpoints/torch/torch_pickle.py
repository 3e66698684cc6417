"""torch's `.pth` files without torch: the zip layout since 1.6 and the one before it.

Both hold a pickle that describes tensors (`models.checkpoints.torch.unpickle`) and, apart from
it, the raw storages that the tensors are views of.

    before 1.6   pickles one after another: magic number, 1001, facts about the writer, the object,
                 the storage keys; then for each key its element count (int64) and its bytes
    since 1.6    an uncompressed zip: NAME/data.pkl, NAME/data/KEY for each storage, and since 2.1
                 NAME/byteorder

A training loop saves a dict that has the state dict in it, beside an optimizer's and other things.
"""

import io
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path

import numpy as np

from models.checkpoints import stored_zip
from models.checkpoints.checkpoint import Array, CheckpointError, errors_with_name
from models.checkpoints.torch.unpickle import Storage, Tensor, unpickle

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
LEGACY_START = b"\x80\x02"  # a pickle of protocol 2
COUNT_BYTES = 8
SCRIPT = "/constants.pkl"  # what torch.jit.save writes and torch.save does not

Storages = Mapping[str, memoryview]

# Where training loops keep a state dict, first the averaged weights that they evaluate (timm's
# `state_dict_ema`, torchvision's `model_ema`), then the plain ones.
STATE_DICTS = ("state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model")


def read_state_dict(path: Path) -> dict[str, Array]:
    """Tensors of a state dict by name, in the file's order: read-only views of the file's bytes.

    Of a training loop's file it is the first of STATE_DICTS that is there.

    Raises:
        CheckpointError: not such a file, cut off, hostile, or something else than a state dict.
    """
    with errors_with_name(path.name):
        content = path.read_bytes()
        if content.startswith(stored_zip.START):
            return _read_zip(content)
        if content.startswith(LEGACY_START):
            return _read_legacy(content)
        raise CheckpointError("not a torch file: neither a zip nor a pickle of protocol 2")


def _read_zip(content: bytes) -> dict[str, Array]:
    if any(name.endswith(SCRIPT) for name in stored_zip.names(content)):
        raise CheckpointError(
            "it is TorchScript, a program with its weights; load it with model = "
            "torch.jit.load(file), and from there either torch.save(model.state_dict(), "
            "'weights.pth') or torch.onnx.export(model.eval(), ...)"
        )
    entries = stored_zip.read_entries(content)
    pickles = [name for name in entries if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise CheckpointError(f"the zip has {len(pickles)} data.pkl, not one")
    folder = pickles[0].removesuffix("data.pkl")
    if entries.get(f"{folder}byteorder", b"little") != b"little":
        raise CheckpointError("big-endian storages are not supported")
    data = f"{folder}data/"
    storages = {
        name.removeprefix(data): memoryview(stored)
        for name, stored in entries.items()
        if name.startswith(data)
    }
    return _views(_tensors(unpickle(io.BytesIO(entries[pickles[0]]))), storages)


def _read_legacy(content: bytes) -> dict[str, Array]:
    stream = io.BytesIO(content)
    if unpickle(stream) != LEGACY_MAGIC:
        raise CheckpointError("not a torch file: its magic number is another one")
    if unpickle(stream) != LEGACY_PROTOCOL:
        raise CheckpointError(f"its protocol is not {LEGACY_PROTOCOL}")
    facts = unpickle(stream)
    if not isinstance(facts, dict) or facts.get("little_endian") is not True:
        raise CheckpointError("it does not say that its storages are little-endian")
    described = unpickle(stream)
    tensors = _tensors(described)
    keys = unpickle(stream)
    storages = _legacy_storages(memoryview(content)[stream.tell() :], keys, described)
    return _views(tensors, storages)


def _legacy_storages(content: memoryview, keys: object, described: object) -> Storages:
    """Cut what follows the pickles into storages."""
    item_bytes = {
        tensor.storage.key: tensor.storage.dtype.itemsize for tensor in _all_tensors(described)
    }
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise CheckpointError("its storage keys are not a list of strings")
    if sorted(keys) != sorted(item_bytes):
        raise CheckpointError("its storages are not those that its tensors use")
    storages: dict[str, memoryview] = {}
    at = 0
    for key in keys:
        elements = int.from_bytes(content[at : at + COUNT_BYTES], "little", signed=True)
        start = at + COUNT_BYTES
        at = start + elements * item_bytes[key]
        if not start <= at <= len(content):
            raise CheckpointError(f"storage {key} is cut off: {elements} elements do not fit")
        storages[key] = content[start:at]
    if at != len(content):
        raise CheckpointError(f"{len(content) - at} bytes follow its last storage")
    return storages


def _all_tensors(described: object) -> Iterator[Tensor]:
    """Every tensor of what a pickle describes, however deep.

    Each object once: a pickle can hold the same one in any number of places, and within itself.
    """
    waiting, seen = [described], set()
    while waiting:
        found = waiting.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        match found:
            case Tensor():
                yield found
            case dict():
                waiting.extend(found.values())
            case list() | tuple():
                waiting.extend(found)


def _tensors(described: object) -> dict[str, Tensor]:
    """A state dict, checked to be one."""
    if not isinstance(described, dict):
        raise CheckpointError(f"holds a {type(described).__name__}, not a dict of tensors")
    kept = (described[key] for key in STATE_DICTS if isinstance(described.get(key), dict))
    described = next(kept, described)
    for name, value in described.items():
        if not isinstance(name, str):
            raise CheckpointError(f"its tensors have numbers ({name}), not the names of layers")
        if not isinstance(value, Tensor):
            raise CheckpointError(
                f"{name!r} is a {type(value).__name__}, not a tensor; the weights have to be the "
                f"whole file or its {', '.join(STATE_DICTS[:-1])} or {STATE_DICTS[-1]}"
            )
    return described


def _views(tensors: Mapping[str, Tensor], storages: Storages) -> dict[str, Array]:
    views = {}
    for name, tensor in tensors.items():
        with errors_with_name(repr(name)):
            views[name] = _view(tensor, _elements(tensor.storage, storages))
    return views


def _elements(storage: Storage, storages: Storages) -> Array:
    content = storages.get(storage.key)
    if content is None:
        raise CheckpointError(f"there is no storage {storage.key!r}")
    if content.nbytes != storage.elements * storage.dtype.itemsize:
        raise CheckpointError(
            f"storage {storage.key!r} has {content.nbytes} bytes, "
            f"not {storage.elements} x {storage.dtype.itemsize}"
        )
    return np.frombuffer(content, storage.dtype)


def _view(tensor: Tensor, elements: Array) -> Array:
    """The tensor as a view, if all of it lies in its storage and no element shows twice."""
    shape, strides, offset = tensor.shape, tensor.strides, tensor.offset
    if len(shape) != len(strides) or min((*shape, *strides, offset), default=0) < 0:
        raise CheckpointError(f"shape {shape}, strides {strides}, offset {offset} make no tensor")
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if not prod(shape) or last >= elements.size or prod(shape) > elements.size:
        raise CheckpointError(
            f"shape {shape}, strides {strides}, offset {offset} do not fit {elements.size} elements"
        )
    try:
        return np.lib.stride_tricks.as_strided(
            elements[offset:],
            shape,
            [stride * elements.itemsize for stride in strides],
            writeable=False,
        )
    except (ValueError, OverflowError) as error:
        raise CheckpointError(f"NumPy cannot hold shape {shape} ({error})") from error

"""Tensors and names out of an HDF5 file that may come from anybody.

Only what lies in the file itself is read: a link or a storage that leads out of it is refused, and
so is a tensor or an attribute that declares more than a network of the family can have.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path

import h5py
import numpy as np

from app.arrays import Float32Array
from models.checkpoints import stored_zip
from models.checkpoints.checkpoint import CheckpointError

# The HDF5 file in a `.keras` archive.
KERAS_WEIGHTS = "model.weights.h5"
# The family's largest tensor is the classifier of MobileNetV2 1.4, with 1.8 million values.
MAX_VALUES = 8_000_000
MAX_NAMES = 2_000
MAX_NAME_BYTES = 1_000
MAX_TEXT_BYTES = 200_000_000
# where texts of any length are: its size follows a version and three bytes of padding
HEAP = re.compile(rb"GCOL.{4}", re.DOTALL)
# What the library throws at damage: it has no class of its own for it.
DAMAGE = (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, OverflowError)


@contextmanager
def open_file(path: Path) -> Iterator[h5py.Group]:
    """The root of an HDF5 file, closed when the block ends; of a `.keras` file, of the one in it.

    Raises:
        CheckpointError: it is not HDF5, or what the block reads of it is damaged.
    """
    try:
        # a lock needs a file system that has locks, and nobody writes here
        with h5py.File(_source(path), "r", locking=False) as file:
            yield file
    except DAMAGE as error:
        raise CheckpointError(f"{path.name} is not HDF5, or is damaged: {error}") from error
    except CheckpointError as error:
        raise type(error)(f"{path.name}: {error}") from error


def _source(path: Path) -> Path | io.BytesIO:
    if not stored_zip.is_zip(path):
        return path
    entries = stored_zip.read_entries(path.read_bytes())
    if KERAS_WEIGHTS not in entries:
        raise CheckpointError(f"a zip without {KERAS_WEIGHTS}: not a .keras file")
    return io.BytesIO(entries[KERAS_WEIGHTS])


def group(parent: h5py.Group, path: str) -> h5py.Group:
    """The group at `path` below `parent`.

    Raises:
        CheckpointError: there is none, or a link leads elsewhere.
    """
    found = _member(parent, path)
    if not isinstance(found, h5py.Group):
        raise CheckpointError(f"{path!r} is not a group")
    return found


def groups(parent: h5py.Group) -> dict[str, h5py.Group]:
    """The groups in a group that has nothing else, by name.

    Raises:
        CheckpointError: something in it is no group, a link leads elsewhere, or there are too many.
    """
    if len(parent) > MAX_NAMES:
        raise CheckpointError(f"{parent.name} has {len(parent)} groups, more than {MAX_NAMES}")
    return {name: group(parent, name) for name in parent}


def place(of: h5py.Group) -> int:
    """Where in the file a group is: the same for every name that it has."""
    return int(h5py.h5o.get_info(of.id).addr)


def has(parent: h5py.Group, name: str) -> bool:
    """Whether `parent` has a direct member of that name."""
    return parent.get(name, getlink=True) is not None


def tensor(parent: h5py.Group, path: str) -> Float32Array:
    """The values at `path` below `parent`.

    Raises:
        CheckpointError: there are none, they are not floats, lie in another file, or are too many.
    """
    found = _member(parent, path)
    if not isinstance(found, h5py.Dataset):
        raise CheckpointError(f"{path!r} is not a tensor")
    if found.is_virtual or found.external:
        raise CheckpointError(f"the values of {path!r} are in another file")
    if found.dtype.kind != "f":
        raise CheckpointError(f"{path!r} is {found.dtype}, not a float")
    if found.shape is None or prod(found.shape) > MAX_VALUES:
        raise CheckpointError(f"{path!r} declares {found.shape}, more than the family has")
    # so compression is out too: Keras uses none, and a few bytes could become gigabytes
    stored, declared = found.id.get_storage_size(), prod(found.shape) * found.dtype.itemsize
    if stored != declared:
        raise CheckpointError(f"{path!r} declares {declared} bytes and stores {stored}")
    return np.asarray(found[()], dtype=np.float32)


def names(owner: h5py.Group, attribute: str) -> list[str]:
    """A list of names that Keras keeps as an attribute, in several parts if it is long.

    Raises:
        CheckpointError: it is not a list of texts, or too long.
    """
    parts = [attribute] if attribute in owner.attrs else []
    while (part := f"{attribute}{len(parts)}") in owner.attrs:
        parts.append(part)
    return [name for part in parts for name in _texts(owner, part)]


def text(owner: h5py.Group, attribute: str) -> str | None:
    """One text that is kept as an attribute; None if there is none.

    Raises:
        CheckpointError: it is not one text.
    """
    if attribute not in owner.attrs:
        return None
    value = owner.attrs[attribute] if owner.attrs.get_id(attribute).shape == () else None
    if isinstance(value, bytes):  # older versions of h5py wrote them
        return value.decode("utf-8", "replace")
    if not isinstance(value, str):
        raise CheckpointError(f"its {attribute} is no text")
    return value


def _check_memory(owner: h5py.Group, attribute: str) -> None:
    """Refuse an attribute that could take far more memory than it has bytes in the file.

    Texts of any length are kept by reference, thousands may lead to the same one, and the library
    reads an attribute as a whole. None is longer than the largest heap in the file.
    """
    count, file = prod(owner.attrs.get_id(attribute).shape), owner.file.id
    if count * file.get_filesize() <= MAX_TEXT_BYTES:
        return
    image = file.get_file_image()
    heaps = (
        int.from_bytes(image[found.end() : found.end() + 8], "little")
        for found in HEAP.finditer(image)
    )
    longest = max((min(size, len(image)) for size in heaps), default=0)
    if count * longest > MAX_TEXT_BYTES:
        raise CheckpointError(
            f"the attribute {attribute!r} has {count} texts of up to {longest} bytes, "
            "more than a list of names"
        )


def _texts(owner: h5py.Group, attribute: str) -> list[str]:
    declared = owner.attrs.get_id(attribute)
    if prod(declared.shape) > MAX_NAMES or declared.dtype.itemsize > MAX_NAME_BYTES:
        raise CheckpointError(f"the attribute {attribute!r} is too long for a list of names")
    _check_memory(owner, attribute)
    values = np.atleast_1d(np.asarray(owner.attrs[attribute], dtype=object))
    texts = [value.decode("utf-8") if isinstance(value, bytes) else value for value in values]
    if not all(isinstance(text, str) for text in texts):
        raise CheckpointError(f"the attribute {attribute!r} is not a list of names")
    return texts


def _member(parent: h5py.Group, path: str) -> h5py.Group | h5py.Dataset:
    """Go down `path` link by link, so that none of them leads out of the file."""
    found = parent
    for name in path.split("/"):
        link = found.get(name, getlink=True) if isinstance(found, h5py.Group) else None
        if link is None:
            raise CheckpointError(f"there is no {path!r}")
        if not isinstance(link, h5py.HardLink):
            raise CheckpointError(f"{path!r} is a link to elsewhere")
        found = found[name]
    return found

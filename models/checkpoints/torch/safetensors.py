"""`.safetensors` files: a JSON header with names, types, shapes and offsets, then the bytes.

The library checks the header against the file before anything else: its size, that the tensors
neither overlap nor leave gaps, and that each has the bytes that its shape asks for.
"""

from pathlib import Path

from safetensors import SafetensorError, safe_open

from models.checkpoints.checkpoint import Array, CheckpointError

# size of the header (uint64, little-endian), and the brace that the header starts with
START_BYTES = 9
# MobileNetV2 with 1.4 times its depth has 400 tensors
MAX_TENSORS = 2000


def is_start(start: bytes) -> bool:
    """Whether a file that starts so is a safetensors file; no torch file does."""
    return len(start) == START_BYTES and start.endswith(b"{") and start[4:8] == bytes(4)


def read_tensors(path: Path) -> dict[str, Array]:
    """Tensors by name.

    Raises:
        CheckpointError: not such a file, damaged, or with a type that NumPy does not have.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            if len(names) > MAX_TENSORS:
                raise CheckpointError(f"{path.name}: {len(names)} tensors, more than {MAX_TENSORS}")
            return {name: _plain(name, file.get_tensor(name)) for name in names}
    except OSError as error:
        raise CheckpointError(f"{path.name}: {error.strerror or error}") from error
    except (SafetensorError, TypeError, KeyError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path.name}: not a readable safetensors file ({error})") from error


def _plain(name: str, tensor: Array) -> Array:
    """The tensor, if its type is NumPy's own and not an extension's (bfloat16, float8)."""
    if tensor.dtype.kind not in "fiub":
        raise ValueError(f"{name} is {tensor.dtype}; save it as float32 or float16")
    return tensor

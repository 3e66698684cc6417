"""Changes that tests make to `.tflite` files, and how they are saved."""

from pathlib import Path
from typing import Any

from models.checkpoints.tflite.graph import MAX_TENSORS
from tests.models.checkpoints.tflite.tflite_files import (
    CLASSES,
    Change,
    File,
    FileOperator,
    FileTensor,
)


def save(folder: Path, *files: File) -> list[Path]:
    paths = [folder / f"{index}.tflite" for index in range(len(files))]
    for path, file in zip(paths, files, strict=True):
        path.write_bytes(file.encode())
    return paths


def options(kind: str, nth: int = 0, /, **changed: Any) -> Change:
    def change(file: File) -> None:
        operator = file.find(kind, nth)
        operator.options = {**(operator.options or {}), **changed}

    return change


def tensor(name: str, /, **changed: Any) -> Change:
    def change(file: File) -> None:
        found = next(tensor for tensor in file.tensors if tensor.name == name)
        for field, value in changed.items():
            setattr(found, field, value)

    return change


def operator(kind: str, nth: int = 0, /, **changed: Any) -> Change:
    def change(file: File) -> None:
        for field, value in changed.items():
            setattr(file.find(kind, nth), field, value)

    return change


def add_tensors(file: File) -> None:
    file.tensors += [FileTensor("more", (1,), "uint8")] * MAX_TENSORS


def share_scales(file: File) -> None:
    """A vector of scales is stored once, however many tensors refer to it."""
    count = 999
    scales = FileTensor("more", (count,), "int8", affine=([1.0] * count, [0] * count))
    file.tensors += [scales] * (count - len(file.tensors))


def put_before(kind: str, dtype: str, affine: tuple[float, int] | None) -> Change:
    """Let another operator make the first tensor of one of another type."""

    def change(file: File) -> None:
        image = file.inputs[0]
        shape = file.tensors[image].shape
        file.inputs[0] = file.add("given", shape, dtype, None, affine)
        file.operators.insert(0, FileOperator(kind, [file.inputs[0]], [image]))

    return change


def put_behind(kind: str, dtype: str, source: str = "probabilities") -> Change:
    def change(file: File) -> None:
        [index] = [at for at, tensor in enumerate(file.tensors) if tensor.name == source]
        file.outputs = [file.add("answer", (1, CLASSES), dtype)]
        file.operators.append(FileOperator(kind, [index], file.outputs))

    return change

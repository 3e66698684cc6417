"""Changes of a TFLite file that a converter could have written, or nearly."""

from random import Random
from typing import Any

import numpy as np

from tests.models.checkpoints.tflite.tflite_files import File, FileTensor

OPTIONS: dict[str, tuple[Any, ...]] = {
    "StrideH": (1, 2, 3),
    "StrideW": (1, 2, 3),
    "Padding": (0, 1),
    "FusedActivationFunction": (0, 1, 2, 3),
    "DilationHFactor": (1, 2),
    "DilationWFactor": (1, 2),
    "DepthMultiplier": (1, 2),
    "FilterHeight": (1, 2, 3),
    "FilterWidth": (1, 2, 3),
    "Axis": (-1, 1, 2, 3),
    "KeepDims": (False, True),
    "KeepNumDims": (False, True),
    "Beta": (0.5, 1.0, 2.0),
}
PAIRS = (("StrideH", "StrideW"), ("DilationHFactor", "DilationWFactor"))
OTHER_KINDS = {
    "ADD": ("MUL", "SUB"),
    "AVERAGE_POOL_2D": ("MAX_POOL_2D",),
    "MAX_POOL_2D": ("AVERAGE_POOL_2D",),
}


def mutate(random: Random, file: File) -> str:
    """Change one thing; say what."""
    ways = [_option, _option, _option, _scale, _scale, _zero_point, _whole, _weights, _kind]
    while True:
        if (said := random.choice(ways)(random, file)) is not None:
            return said


def _option(random: Random, file: File) -> str | None:
    operator = random.choice(file.operators)
    keys = [key for key in operator.options or {} if key in OPTIONS]
    if not keys or operator.options is None:
        return None
    key = random.choice(keys)
    value = random.choice([one for one in OPTIONS[key] if one != operator.options[key]])
    both = next((pair for pair in PAIRS if key in pair), (key,))
    for name in both if random.random() < 0.7 else (key,):
        operator.options[name] = value
    return f"{operator.kind} {key} {value}"


def _tensor(random: Random, file: File) -> FileTensor | None:
    found = [tensor for tensor in file.tensors if tensor.affine is not None]
    return random.choice(found) if found else None


def _scale(random: Random, file: File) -> str | None:
    if (tensor := _tensor(random, file)) is None or tensor.affine is None:
        return None
    factor = random.choice((0.5, 0.8, 0.98, 1.1, 1.5, 2))
    tensor.affine = (np.array(tensor.affine[0]) * factor, tensor.affine[1])
    return f"{tensor.name} scale x {factor}"


def _zero_point(random: Random, file: File) -> str | None:
    tensor = _tensor(random, file)
    if tensor is None or tensor.affine is None or np.ndim(tensor.affine[1]):
        return None
    shift = random.choice((-20, -3, 3, 20))
    tensor.affine = (tensor.affine[0], tensor.affine[1] + shift)
    return f"{tensor.name} zero point + {shift}"


def _whole(random: Random, file: File) -> str | None:
    """An amount of padding, an axis or a side of a reshape."""
    found = [
        tensor
        for tensor in file.tensors
        if tensor.values is not None and tensor.dtype == "int32" and tensor.name == "constant"
    ]
    if not found:
        return None
    tensor = random.choice(found)
    assert tensor.values is not None
    values = tensor.values.copy()
    at = random.randrange(values.size)
    values.reshape(-1)[at] += random.choice((-1, 1))
    tensor.values = values
    return f"{tensor.shape} whole numbers, {at} of them"


def _weights(random: Random, file: File) -> str | None:
    found = [one for one in file.tensors if one.name in ("kernel", "bias", "half")]
    found = [one for one in found if one.values is not None]
    tensor = random.choice(found)
    assert tensor.values is not None
    order = np.random.default_rng(random.randrange(1 << 30)).permutation(tensor.values.size)
    tensor.values = tensor.values.reshape(-1)[order].reshape(tensor.shape)
    return f"{tensor.name} {tensor.shape} in another order"


def _kind(random: Random, file: File) -> str | None:
    operator = random.choice(file.operators)
    if operator.kind not in OTHER_KINDS:
        return None
    before, operator.kind = operator.kind, random.choice(OTHER_KINDS[operator.kind])
    return f"{before} becomes {operator.kind}"

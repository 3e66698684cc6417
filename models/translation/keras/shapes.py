"""Layers that move, cut, pad and resize values."""

from collections.abc import Sequence

import numpy as np

from models.checkpoints.checkpoint import CheckpointError
from models.translation.keras.call import Call
from models.translation.keras.records import Records


def padding(records: Records, call: Call) -> int:
    found = call.config.get("padding", 1)
    found = [[found, found]] * 2 if isinstance(found, int) else found
    rows, columns = ([one, one] if isinstance(one, int) else list(one) for one in found)
    batch, height, width, channels = records.shape(call.inputs[0])
    amounts = records.constant([[0, 0], rows, columns, [0, 0]], whole=True)
    shape = (batch, height + sum(rows), width + sum(columns), channels)
    return records.step("PAD", [call.inputs[0], amounts], shape, call.name)


def concatenate(records: Records, call: Call) -> int:
    shape = list(records.shape(call.inputs[0]))
    axis = call.config.get("axis", -1) % len(shape)
    shape[axis] = sum(records.shape(value)[axis] for value in call.inputs)
    return records.step("CONCATENATION", call.inputs, tuple(shape), call.name, axis=axis)


def flatten(records: Records, call: Call) -> int:
    batch, *rest = records.shape(call.inputs[0])
    return records.reshape(call.inputs[0], (batch, int(np.prod(rest))), call.name)


def reshape(records: Records, call: Call) -> int:
    batch, *rest = records.shape(call.inputs[0])
    wanted = [int(size) for size in call.config["target_shape"]]
    if -1 in wanted:
        known = -int(np.prod(wanted))
        wanted[wanted.index(-1)] = int(np.prod(rest)) // max(known, 1)
    return records.reshape(call.inputs[0], (batch, *wanted), call.name)


def resizing(records: Records, call: Call) -> int:
    batch, height, width, channels = records.shape(call.inputs[0])
    wanted = int(call.config["height"]), int(call.config["width"])
    kind = {"bilinear": "RESIZE_BILINEAR", "nearest": "RESIZE_NEAREST_NEIGHBOR"}.get(
        str(call.config.get("interpolation", "bilinear"))
    )
    fits = any(call.config.get(f"{way}_to_aspect_ratio") for way in ("crop", "pad"))
    if kind is None or call.config.get("antialias") or (fits and height != width):
        raise CheckpointError(f"{call.name} resizes in another way than bilinear or nearest")
    if (height, width) == wanted:
        return call.inputs[0]
    parts = [call.inputs[0], records.constant(wanted, whole=True)]
    return records.step(kind, parts, (batch, *wanted, channels), call.name)


def center_crop(records: Records, call: Call) -> int:
    _, *sides, _ = records.shape(call.inputs[0])
    wanted = int(call.config["height"]), int(call.config["width"])
    if any(side < size for side, size in zip(sides, wanted, strict=True)):
        raise CheckpointError(f"{call.name} cuts {wanted} out of {tuple(sides)}")
    starts = [(side - size) // 2 for side, size in zip(sides, wanted, strict=True)]
    return _cut(records, call, starts, wanted)


def cropping(records: Records, call: Call) -> int:
    found = call.config.get("cropping", 0)
    found = [[found, found]] * 2 if isinstance(found, int) else found
    edges = [(one, one) if isinstance(one, int) else tuple(one) for one in found]
    _, *sides, _ = records.shape(call.inputs[0])
    wanted = [side - sum(edge) for side, edge in zip(sides, edges, strict=True)]
    return _cut(records, call, [edge[0] for edge in edges], wanted)


def _cut(records: Records, call: Call, starts: Sequence[int], sizes: Sequence[int]) -> int:
    batch, _, _, channels = records.shape(call.inputs[0])
    begin = records.constant([0, *starts, 0], whole=True)
    shape = (batch, *sizes, channels)
    size = records.constant(shape, whole=True)
    return records.step("SLICE", [call.inputs[0], begin, size], shape, call.name)


def permute(records: Records, call: Call) -> int:
    order = [0, *map(int, call.config["dims"])]
    shape = records.shape(call.inputs[0])
    if sorted(order) != list(range(len(shape))):
        raise CheckpointError(f"{call.name} has the order {order[1:]}")
    if order == list(range(len(shape))):
        return call.inputs[0]
    parts = [call.inputs[0], records.constant(order, whole=True)]
    return records.step("TRANSPOSE", parts, tuple(shape[axis] for axis in order), call.name)

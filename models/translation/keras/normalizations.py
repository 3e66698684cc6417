"""Layers that scale and shift."""

from typing import Any

import numpy as np

from models.checkpoints.checkpoint import CheckpointError
from models.translation.keras.call import Call
from models.translation.keras.records import Records


def batch_norm(records: Records, call: Call) -> int:
    axis = call.config.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) else axis
    rank = len(records.shape(call.inputs[0]))
    if axis % rank != rank - 1:
        raise CheckpointError(f"{call.name} normalises axis {axis}")
    mean = call.weight("moving_mean").astype(np.float64)
    variance = call.weight("moving_variance").astype(np.float64)
    scale = call.weights.get("gamma", np.float32(1)) / np.sqrt(
        variance + call.config.get("epsilon", 1e-3)
    )
    shift = call.weights.get("beta", np.float32(0)) - mean * scale
    return affine(records, call, call.inputs[0], scale, shift)


def affine(records: Records, call: Call, value: int, scale: Any, shift: Any) -> int:
    if np.any(np.asarray(scale) != 1):
        value = records.same("MUL", [value, records.constant(scale)], f"{call.name}/scaled")
    if np.any(np.asarray(shift) != 0):
        value = records.same("ADD", [value, records.constant(shift)], f"{call.name}/shifted")
    return value


def rescaling(records: Records, call: Call) -> int:
    scale, offset = call.config["scale"], call.config.get("offset", 0)
    return affine(records, call, call.inputs[0], scale, offset)


def normalization(records: Records, call: Call) -> int:
    mean, variance = (
        np.asarray(
            call.weights[name] if name in call.weights else call.config.get(name), np.float64
        )
        for name in ("mean", "variance")
    )
    if call.config.get("invert") or mean.ndim == 0 or not np.isfinite(mean).all():
        raise CheckpointError(f"{call.name} has no mean and variance of its own")
    axis, rank = call.config.get("axis", -1), len(records.shape(call.inputs[0]))
    axes = [one % rank for one in (axis if isinstance(axis, list) else [axis])]
    if axes != list(range(rank - len(axes), rank)):  # whose numbers do not go along the last axes
        raise CheckpointError(f"{call.name} normalises axis {axis}")
    deviation = np.maximum(np.sqrt(variance), 1e-7)
    return affine(records, call, call.inputs[0], 1 / deviation, -mean / deviation)


def layer_norm(records: Records, call: Call) -> int:
    value, shape = call.inputs[0], records.shape(call.inputs[0])
    axis = call.config.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if axis not in (-1, len(shape) - 1) or call.config.get("rms_scaling"):
        raise CheckpointError(f"{call.name} normalises axis {axis}")
    name, axes = call.name, records.constant([len(shape) - 1], whole=True)
    mean = records.step("MEAN", [value, axes], (*shape[:-1], 1), f"{name}/mean")
    square = records.same("SQUARED_DIFFERENCE", [value, mean], f"{name}/square")
    variance = records.step("MEAN", [square, axes], (*shape[:-1], 1), f"{name}/variance")
    epsilon = records.constant(call.config.get("epsilon", 1e-3))
    variance = records.same("ADD", [variance, epsilon], f"{name}/above_0")
    scale = records.same("RSQRT", [variance], f"{name}/scale")
    value = records.same("MUL", [records.same("SUB", [value, mean], name), scale], name)
    gamma, beta = (call.weights.get(one, default) for one, default in (("gamma", 1), ("beta", 0)))
    return affine(records, call, value, gamma, beta)


def unit_length(records: Records, call: Call) -> int:
    if call.config.get("axis", -1) not in (-1, len(records.shape(call.inputs[0])) - 1):
        raise CheckpointError(f"{call.name} normalises another axis than the last")
    return records.same("L2_NORMALIZATION", call.inputs, call.name)

"""Activations, as layers and as options of other layers."""

from typing import Any

from models.checkpoints.checkpoint import CheckpointError
from models.translation.keras.call import Call
from models.translation.keras.records import Records

ACTIVATIONS = {
    "relu": "RELU", "relu6": "RELU6", "softmax": "SOFTMAX", "sigmoid": "LOGISTIC", "tanh": "TANH",
    "log_softmax": "LOG_SOFTMAX", "hard_swish": "HARD_SWISH", "hard_silu": "HARD_SWISH",
    "elu": "ELU", "selu": "SELU", "softplus": "SOFTPLUS", "softsign": "SOFTSIGN", "gelu": "GELU",
    "exponential": "EXP",
}  # fmt: skip


KERAS_LEAK = 0.2  # of the activation; of the layer, 0.3


def activated(records: Records, value: int, activation: Any, name: str) -> int:
    if isinstance(activation, dict):
        activation = activation.get("class_name", activation)
    if activation in (None, "linear"):
        return value
    if activation in ("swish", "silu"):
        gate = records.same("LOGISTIC", [value], f"{name}/gate")
        return records.same("MUL", [value, gate], f"{name}/swish")
    if activation == "leaky_relu":
        return records.same("LEAKY_RELU", [value], f"{name}/leaky_relu", alpha=KERAS_LEAK)
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise CheckpointError(f"{name} has the activation {activation!r}")
    return records.same(ACTIVATIONS[activation], [value], f"{name}/{activation}")


def activation(records: Records, call: Call) -> int:
    return activated(records, call.inputs[0], call.config.get("activation"), call.name)


def relu(records: Records, call: Call) -> int:
    highest = call.config.get("max_value")
    slope = call.config.get("negative_slope")
    if call.config.get("threshold") or (slope and highest is not None):
        raise CheckpointError(f"{call.name} is a ReLU with a threshold, or a slope and a maximum")
    if slope:
        return records.same("LEAKY_RELU", call.inputs, call.name, alpha=float(slope))
    if highest is None or highest == 6:
        return records.same("RELU" if highest is None else "RELU6", call.inputs, call.name)
    value = records.same("RELU", call.inputs, f"{call.name}/above")
    return records.same("MINIMUM", [value, records.constant(highest)], call.name)


def leaky_relu(records: Records, call: Call) -> int:
    slope = call.config.get("negative_slope", call.config.get("alpha", 0.3))
    return records.same("LEAKY_RELU", call.inputs, call.name, alpha=float(slope))


def elu(records: Records, call: Call) -> int:
    if call.config.get("alpha", 1.0) != 1.0:
        raise CheckpointError(f"{call.name} is an ELU with another alpha than 1")
    return records.same("ELU", call.inputs, call.name)


def prelu(records: Records, call: Call) -> int:
    slopes = records.constant(call.weight("alpha"))
    return records.same("PRELU", [call.inputs[0], slopes], call.name)


def softmax(records: Records, call: Call) -> int:
    if call.config.get("axis", -1) not in (-1, len(records.shape(call.inputs[0])) - 1):
        raise CheckpointError(f"{call.name} is a softmax over another axis")
    return records.same("SOFTMAX", call.inputs, call.name)

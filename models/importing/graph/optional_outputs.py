"""The outputs that an imported graph has only if its structure does: `logits` and `features`.

The structure suggests a value for each, and a run confirms it.
"""

from dataclasses import dataclass, replace

import numpy as np
import onnx
from numpy.typing import NDArray

from app.arrays import Float32Array, Uint8Array
from models.importing.checks import Refused
from models.importing.graph.inspect_graph import Features, Scores
from models.importing.graph.verify import Original, Runner, to_probabilities
from models.importing.graph.walk_back import PASSING, Trail

AVERAGING = {"GlobalAveragePool", "AveragePool", "ReduceMean"}
# Both bounds only have to tell the right value from another one, also past 8-bit rounding.
PROBABILITY_TOLERANCE = 0.01
MEAN_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True)
class OptionalOutputs:
    """Names of values in the imported graph; None where it has no such value.

    `logits` is [N, classes], perhaps with axes of size 1; `features` is a map, [N, h, w, C] if
    `channels_last`, else [N, C, h, w].
    """

    logits: str | None = None
    features: str | None = None
    channels_last: bool = False


def with_outputs(model: onnx.ModelProto, *values: str) -> onnx.ModelProto:
    """A copy of the model with these values among its outputs."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    present = {output.name for output in copy.graph.output}
    added = [value for value in dict.fromkeys(values) if value not in present]
    copy.graph.output.extend(onnx.ValueInfoProto(name=value) for value in added)
    return copy


def find_optional_outputs(
    model: onnx.ModelProto,
    original: Original,
    pixels: Uint8Array,
    scores: Scores,
    features: Features,
) -> OptionalOutputs:
    """Find the logits, and the map that the pooled features are the mean of.

    The outputs of `original` are the class scores and the features.
    """
    trail = Trail(model.graph)
    output = original.outputs[0]
    found = OptionalOutputs(logits=output if scores == "logits" else None)
    answers, pooled = (_flat(values) for values in original.answers(pixels))
    logits = _before_softmax(trail, output)
    if logits and (values := _values(model, original, logits, pixels)) is not None:
        expected = to_probabilities(answers, scores)
        if _close(to_probabilities(values, "logits"), expected, PROBABILITY_TOLERANCE):
            found = replace(found, logits=logits)
    feature_map = _before_pooling(trail, features)
    if feature_map and (values := _values(model, original, feature_map, pixels)) is not None:
        bound = MEAN_TOLERANCE * float(np.abs(pooled).max())
        for channels_last, axes in ((False, (2, 3)), (True, (1, 2))):
            if values.ndim == 4 and _close(values.mean(axis=axes), pooled, bound):
                return replace(found, features=feature_map, channels_last=channels_last)
    return found


def _flat(values: NDArray[np.generic]) -> Float32Array:
    """Values [N, ...] as [N, width]."""
    return values.reshape(len(values), -1).astype(np.float32)


def _before_softmax(trail: Trail, output: str) -> str | None:
    """The input of the softmax at the end."""
    last = trail.maker_behind(output)
    if last is None or last.op_type not in ("Softmax", "LogSoftmax"):
        return None
    return str(last.input[0])


def _before_pooling(trail: Trail, features: Features) -> str | None:
    """The input of the pooling whose result the last layer reads."""
    # a translated mean in integers has a constant added, which makes it round as its framework
    pool = trail.maker_behind(features.value, PASSING | {"Add"})
    if features.affine or pool is None or pool.op_type not in AVERAGING:
        return None
    return str(pool.input[0]) if pool.input[0] in trail.makers else None


def _values(
    model: onnx.ModelProto, original: Original, value: str, pixels: Uint8Array
) -> Float32Array | None:
    """The value for these images; None if it cannot be an output or is not float32."""
    try:
        runner = Runner(with_outputs(model, value))
        [values] = replace(original, runner=runner, outputs=(value,)).answers(pixels)
    except Refused:
        return None
    return values if values.dtype == np.float32 and len(values) == len(pixels) else None


def _close(found: Float32Array, expected: Float32Array, bound: float) -> bool:
    return found.shape == expected.shape and bool((np.abs(found - expected) <= bound).all())

"""The wrapped graph as it passed the comparison with the foreign one."""

from dataclasses import dataclass

import numpy as np
import onnx

from app.arrays import Float32Array, Uint8Array
from app.card.card import Precision
from models.importing.checks import Refused
from models.importing.graph.verify import TOLERANCE, Runner, largest_difference
from models.importing.graph.wrap import Plan, simplify, wrap

ALIKE = 1e-6


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A wrapped graph; `alike` tells that it answers the same to different images."""

    model: onnx.ModelProto
    runner: Runner
    difference: float
    any_batch: bool
    alike: bool


def wrapped_graph(
    foreign: onnx.ModelProto,
    plan: Plan,
    precision: Precision,
    pixels: Uint8Array,
    expected: Float32Array,
) -> Wrapped:
    """The wrapped graph, with a free batch if it answers to a batch as to its images.

    It does not if its author fixed the batch for good, or if it quantises what it is given by the
    range of the whole batch.

    Raises:
        Refused: it does not answer as `expected`, the original's probabilities for `pixels`.
    """
    reason = ""
    for free_batch in (True, False):
        model = wrap(foreign, plan, free_batch=free_batch)
        try:
            if precision == "fp32":  # a quantised graph is left as its author tuned it
                model = simplify(model)
            runner = Runner(model)
            difference = largest_difference(runner, expected, pixels, together=free_batch)
        except Refused as error:
            reason = str(error)
            continue
        if difference <= TOLERANCE:
            alike = bool(np.ptp(expected, axis=0).max() < ALIKE)
            return Wrapped(model, runner, difference, free_batch, alike)
        reason = f"the wrapped graph is {difference:.2g} off the original"
    raise Refused(f"The model cannot run one image at a time: {reason}")

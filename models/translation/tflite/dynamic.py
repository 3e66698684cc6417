"""Dynamic range: int8 kernels for float activations, which LiteRT rounds where it runs.

In front of each such layer, every image is rounded on its own to 255 steps from its lowest to its
highest value, zero included (XNNPACK's xnn_f32_qd8_asymmetric_quantization_params, and
AsymmetricQuantizeFloats of the built-in kernels). A 1x1 convolution of stride 1 is a dense layer
to XNNPACK, which rounds every pixel on its own. The zero point is a whole step, so that it cancels
out: x becomes round(x * 255 / range) * range / 255.
"""

import numpy as np

from models.checkpoints.checkpoint import CheckpointError
from models.checkpoints.tflite.graph import Tensor
from models.translation.tflite.writer import LEVELS, Writer, is_integer

LAYERS = {"Conv", "Gemm"}
NARROWEST = 1e-30  # keeps a map of zeros from a division by zero


def is_dynamic(source: Tensor, kernel: Tensor) -> bool:
    """Whether a layer rounds the floats that come in.

    Raises:
        CheckpointError: its kernel is uint8, of which runtimes read the bits as int8.
    """
    if is_integer(source) or not is_integer(kernel):
        return False
    if kernel.dtype != np.int8:
        raise CheckpointError(
            f"multiplies floats by {kernel.name!r}, which is uint8: converters of 2018 wrote such "
            "files; convert the model again"
        )
    return True


def rounded(writer: Writer, index: int, *, each_pixel: bool = False) -> str:
    """A float activation on the steps of each image, or pixel; made once for all that read it."""
    key = index, each_pixel
    if key not in writer.stepped:
        axes = [1] if each_pixel else list(range(1, len(writer.shape(index))))
        writer.stepped[key] = _rounded(writer, index, axes)
    return writer.stepped[key]


def _rounded(writer: Writer, index: int, axes: list[int]) -> str:
    value = writer.value(index)
    highest = writer.emit("ReduceMax", [value], index, axes=axes, keepdims=1)
    if index in writer.positive:
        steps, step = _steps(writer, index, highest)
        return writer.emit("Mul", [_whole(writer, index, value, steps), step], index)
    lowest = writer.emit("ReduceMin", [value], index, axes=axes, keepdims=1)
    zero = writer.tape.constant("no_range", np.float32(0))
    lowest = writer.emit("Min", [lowest, zero], index)
    highest = writer.emit("Max", [highest, zero], index)
    steps, step = _steps(writer, index, writer.emit("Sub", [highest, lowest], index))
    whole = _whole(writer, index, value, steps)
    if not any(node.op_type in LAYERS for node in writer.tape.nodes):
        whole = _cut_off(writer, index, whole, (lowest, highest), steps)
    return writer.emit("Mul", [whole, step], index)


def _steps(writer: Writer, index: int, width: str) -> tuple[str, str]:
    """Steps in 1, and the size of a step."""
    narrowest = writer.tape.constant("narrowest_range", np.float32(NARROWEST))
    levels = writer.tape.constant("levels", np.float32(LEVELS))
    width = writer.emit("Max", [width, narrowest], index)
    steps = writer.emit("Div", [levels, width], index)
    return steps, writer.emit("Reciprocal", [steps], index)


def _whole(writer: Writer, index: int, value: str, steps: str) -> str:
    value = writer.emit("Mul", [value, steps], index)
    return writer.emit("Round", [value], index)


def _cut_off(writer: Writer, index: int, whole: str, ends: tuple[str, str], steps: str) -> str:
    """Cut off half a step where zero falls between two steps, as for pixels from -1 to 1.

    XNNPACK finds the zero point from the end of the range that leaves the smaller error. The sums
    of a layer hardly ever meet such a middle; so this is for images alone.
    """
    tape = writer.tape
    one, bottom, ceiling = (
        tape.constant(f"step_{number}", np.float32(number)) for number in (1, -128, 127)
    )
    whole_ends = [writer.emit("Mul", [end, steps], index) for end in ends]
    by_lowest = writer.emit("Greater", [writer.emit("Add", whole_ends, index), one], index)
    low, high = (
        writer.emit("Sub", [limit, end], index)
        for limit, end in zip((bottom, ceiling), whole_ends, strict=True)
    )
    zero_point = writer.emit("Where", [by_lowest, low, high], index)
    zero_point = writer.emit("Clip", [zero_point, bottom, ceiling], index)
    zero_point = writer.emit("Round", [zero_point], index)
    for op, limit in (("Min", ceiling), ("Max", bottom)):
        bound = writer.emit("Sub", [limit, zero_point], index)
        whole = writer.emit(op, [whole, bound], index)
    return whole

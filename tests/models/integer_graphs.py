"""Small QDQ graphs whose exact sums are known."""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

CHANNELS = 64


def largest_products() -> tuple[bytes, NDArray[np.uint8], NDArray[np.uint8]]:
    """A 1x1 convolution of the largest values there are, its input and what it has to give.

    Each output is 64 * 255 * 127 in steps of 64 * 127: 255, and half of the weights of the
    second output channel are negative, so that it is 0.
    """
    kernel = np.full((2, CHANNELS, 1, 1), 127, np.int8)
    kernel[1, ::2] = -127
    constants = {
        "one": np.float32(1), "zero": np.uint8(0), "kernel": kernel, "kernel_zero": np.int8(0),
        "step": np.float32(CHANNELS * 127),
    }  # fmt: skip
    nodes = [
        helper.make_node("DequantizeLinear", ["image", "one", "zero"], ["x"]),
        helper.make_node("DequantizeLinear", ["kernel", "one", "kernel_zero"], ["w"]),
        helper.make_node("Conv", ["x", "w"], ["y"]),
        helper.make_node("QuantizeLinear", ["y", "step", "zero"], ["levels"]),
    ]
    shape = [1, CHANNELS, 8, 8]
    graph = helper.make_graph(
        nodes,
        "largest",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("levels", TensorProto.UINT8, [1, 2, 8, 8])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    expected = np.zeros((1, 2, 8, 8), np.uint8)
    expected[:, 0] = 255
    onnx.checker.check_model(model)
    return model.SerializeToString(), np.full(shape, 255, np.uint8), expected

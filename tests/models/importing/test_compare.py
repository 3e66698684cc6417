"""A translation is adopted within 0.0001, or within what its framework is certain of itself."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from models.importing.checks import Refused
from models.importing.graph.inspect_graph import ImageInput
from models.importing.graph.verify import Original, Runner
from models.importing.judges.compare import FLOAT_TOLERANCE, check_answers

SIDE = 8


def original() -> Original:
    """Class 1 has the mean of the image, from 0 to 1, as its probability."""
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "scale"], ["one"]),
        helper.make_node("Sub", ["whole", "one"], ["zero"]),
        helper.make_node("Unsqueeze", ["zero"], ["left"], axes=[1]),
        helper.make_node("Unsqueeze", ["one"], ["right"], axes=[1]),
        helper.make_node("Concat", ["left", "right"], ["scores"], axis=1),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", SIDE, SIDE, 3])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 2])
    constants = [
        helper.make_tensor("scale", TensorProto.FLOAT, [], [1 / 255]),
        helper.make_tensor("whole", TensorProto.FLOAT, [], [1]),
    ]
    graph = helper.make_graph(nodes, "mean", [image], [scores], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    taken = ImageInput("image", "nhwc", uint8=False, batch=None, height=SIDE, width=SIDE)
    return Original(Runner(model), taken, None, ("scores",))


@dataclass
class MeanJudge:
    """The mean in 64 bits, off by `constant`, and by up to `chaos` for any change of the input."""

    constant: float = 0.0
    chaos: float = 0.0
    name: str = "the framework"
    tolerance: float = FLOAT_TOLERANCE
    advice: str = ""
    rounds_at_run_time: bool = False

    def scores(self, fed: NDArray[Any]) -> NDArray[Any]:
        means = fed.astype(np.float64).mean(axis=(1, 2, 3))
        ones = means / 255 + self.constant + self.chaos * np.sin(1e9 * means)
        return np.stack([1 - ones, ones], axis=1).astype(np.float32)


def test_the_largest_difference_is_returned() -> None:
    found = check_answers(MeanJudge(constant=9e-5), original(), SIDE, "probabilities")
    assert found == pytest.approx(9e-5, abs=1e-6)


def test_a_steady_framework_is_followed_to_a_ten_thousandth() -> None:
    with pytest.raises(Refused, match=r"0\.0002 off what the framework answers"):
        check_answers(MeanJudge(constant=2e-4), original(), SIDE, "probabilities")


def test_a_framework_that_moves_with_the_last_digit_is_followed_as_far_as_it_is_sure() -> None:
    found = check_answers(MeanJudge(chaos=3e-4), original(), SIDE, "probabilities")
    assert 1e-4 < found < 3.1e-4


@pytest.mark.parametrize("judge", [MeanJudge(constant=2e-4, chaos=1e-5), MeanJudge(chaos=5e-3)])
def test_what_is_farther_off_than_that_is_not_adopted(judge: MeanJudge) -> None:
    with pytest.raises(Refused, match="not adopted"):
        check_answers(judge, original(), SIDE, "probabilities")

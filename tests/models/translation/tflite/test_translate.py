"""Every operator of a TFLite graph gives in onnxruntime what LiteRT gives.

LiteRT's answers are recorded in `answers.npz`, so that this runs where there is no LiteRT; to
record them again: `python -m tests.models.translation.tflite.record_answers`.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.checkpoints.checkpoint import CheckpointError
from models.checkpoints.tflite.graph import read_graph
from models.importing.graph.verify import Runner
from models.translation.tflite.translate import translate
from tests.models.translation.tflite.operator_files import (
    CASES,
    PIXELS,
    PRECISIONS,
    UNKNOWN_TO_LITERT,
    Builder,
    encode,
)
from tests.models.translation.tflite.record_answers import FILE, fed, key

FLOAT_TOLERANCE = 5e-6
# Its pixels lie in the middle of two steps of a dynamic range; LiteRT's built-in kernel for
# depthwise layers rounds a middle otherwise than XNNPACK, and no map of a network meets one.
MIDDLES, A_STEP = ("depthwise of 2", "dynamic"), 0.03


@pytest.fixture(scope="module")
def answers() -> dict[str, NDArray[Any]]:
    with np.load(FILE) as found:
        return dict(found)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("case", CASES)
def test_an_operator_gives_what_litert_gives(
    tmp_path: Path, answers: dict[str, NDArray[Any]], case: str, precision: str
) -> None:
    if (case, precision) in UNKNOWN_TO_LITERT:
        pytest.skip("LiteRT has no such kernel")
    path = tmp_path / "model.tflite"
    path.write_bytes(encode(case, precision))
    graph = read_graph(path)
    output = graph.tensors[graph.output]
    model = translate(graph)
    pixels = PIXELS if graph.tensors[graph.input].scales else fed(PIXELS, np.float32)
    [found] = Runner(model).run([model.graph.output[0].name], **{model.graph.input[0].name: pixels})
    expected = answers[key(case, precision)]
    scale, zero = (output.scales or (1,))[0], (output.zero_points or (0,))[0]
    level = scale * (expected.astype(np.float64) - zero)
    off = np.abs(found.reshape(level.shape) - level)
    if output.scales:
        assert off.max() < 1.01 * scale
        assert (off > 0.51 * scale).mean() < 0.005  # another rounding of a half, if at all
    else:
        assert off.max() < (A_STEP if (case, precision) == MIDDLES else FLOAT_TOLERANCE)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"dtype": "uint8"}, "multiplies floats by 'kernel', which is uint8"),
        ({"affine": (0.02, 0)}, "depthwise 'kernel', which has one scale"),
    ],
)
def test_a_dynamic_range_that_litert_reads_wrongly_is_rejected(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    builder = Builder("dynamic")
    file = builder.done(CASES["depthwise of 2"](builder))
    kernel = next(tensor for tensor in file.tensors if tensor.name == "kernel")
    for name, value in change.items():
        setattr(kernel, name, value)
    path = tmp_path / "model.tflite"
    path.write_bytes(file.encode())
    with pytest.raises(CheckpointError, match=reason):
        translate(read_graph(path))


def test_every_image_of_a_batch_is_rounded_on_its_own(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(encode("conv 1x1", "dynamic"))
    model = translate(read_graph(path))
    pixels = fed(PIXELS, np.float32) * np.array((1, 7), np.float32).reshape(2, 1, 1, 1)
    runner, output, name = Runner(model), model.graph.output[0].name, model.graph.input[0].name
    [together] = runner.run([output], **{name: pixels})
    alone = [runner.run([output], **{name: one[None]})[0] for one in pixels]
    np.testing.assert_array_equal(together, np.concatenate(alone))


@pytest.mark.parametrize("case", CASES)
def test_shapes_of_activations_are_worked_out(
    tmp_path: Path, answers: dict[str, NDArray[Any]], case: str
) -> None:
    """LiteRT never reads those of a file, which may be left from before a change."""
    builder = Builder("float32")
    file = builder.done(CASES[case](builder))
    made = {index for operator in file.operators for index in operator.outputs}
    reshaped = {one.outputs[0] for one in file.operators if one.kind == "RESHAPE"}
    for index in made - reshaped:
        shape = file.tensors[index].shape
        if len(shape) == 4:
            file.tensors[index].shape = (1, 40, 40, shape[3])
    path = tmp_path / "model.tflite"
    path.write_bytes(file.encode())
    model = translate(read_graph(path))
    fed_in = {model.graph.input[0].name: fed(PIXELS, np.float32)}
    [found] = Runner(model).run([model.graph.output[0].name], **fed_in)
    assert np.abs(found - answers[key(case, "float32")]).max() < FLOAT_TOLERANCE


@pytest.mark.parametrize(("case", "kind"), [("flattened", "RESHAPE"), ("max pool", "MAX_POOL_2D")])
def test_integers_that_are_only_moved_keep_their_scale(
    tmp_path: Path, case: str, kind: str
) -> None:
    builder = Builder("int8")
    file = builder.done(CASES[case](builder))
    file.tensors[file.find(kind).outputs[0]].affine = (0.5, 0)
    path = tmp_path / "model.tflite"
    path.write_bytes(file.encode())
    with pytest.raises(CheckpointError, match=f"a {kind} has other scales behind it"):
        translate(read_graph(path))


def test_a_window_that_does_not_fit_is_rejected(tmp_path: Path) -> None:
    builder = Builder("float32")
    file = builder.done(builder.pool(builder.image(), "MAX_POOL_2D", 3, 2))
    file.operators[0].options = {**(file.operators[0].options or {}), "FilterWidth": 12}
    path = tmp_path / "model.tflite"
    path.write_bytes(file.encode())
    with pytest.raises(CheckpointError, match=r"a MAX_POOL_2D makes \(1, 4, -1, 3\)"):
        translate(read_graph(path))

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
    CHANNELS,
    CLASSES,
    PAIRS,
    PIXELS,
    RELU,
    SAME,
    SIDE,
    VALID,
    Builder,
    Made,
    encode,
)
from tests.models.translation.tflite.record_answers import FILE, fed, key

FLOAT_TOLERANCE = 5e-6
# LiteRT rounds each activation of a dynamic range to 255 steps of the range that it has in a run.
RUN_TIME_ROUNDING = 0.01


@pytest.fixture(scope="module")
def answers() -> dict[str, NDArray[Any]]:
    with np.load(FILE) as found:
        return dict(found)


@pytest.mark.parametrize(("case", "precision"), PAIRS)
def test_an_operator_gives_what_litert_gives(
    tmp_path: Path, answers: dict[str, NDArray[Any]], case: str, precision: str
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(encode(case, precision))
    graph = read_graph(path)
    output = graph.tensors[graph.output]
    model = translate(graph)
    floats = graph.tensors[graph.input].dtype == np.float32
    pixels = fed(PIXELS, np.float32) if floats else PIXELS
    [found] = Runner(model).run([model.graph.output[0].name], **{model.graph.input[0].name: pixels})
    expected = answers[key(case, precision)]
    scale, zero = (output.scales or (1,))[0], (output.zero_points or (0,))[0]
    level = scale * (expected.astype(np.float64) - zero)
    off = np.abs(found.reshape(level.shape) - level)
    if output.scales:
        assert off.max() < 1.01 * scale
        assert (off > 0.51 * scale).mean() < 0.005  # another rounding of a half, if at all
    elif precision == "dynamic":
        assert off.mean() < RUN_TIME_ROUNDING * level.std()
    else:
        assert off.max() < FLOAT_TOLERANCE


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


def _truncated(b: Builder) -> int:
    shape = (1, SIDE, SIDE, CHANNELS)
    whole = b.add("CAST", [b.image()], b.file.add("whole", shape, "int32"))
    return b.add("CAST", [whole], b.activation("floats", shape))


def _without_scale(b: Builder) -> int:
    image = b.file.add("image", (1, SIDE, SIDE, CHANNELS), "uint8", None, (1 / 127.5, 127))
    return b.add("CAST", [image], b.activation("floats", (1, SIDE, SIDE, CHANNELS)))


def _ends_from_begin(b: Builder) -> int:
    made = CASES["cut out"](b)
    return b.add("STRIDED_SLICE", b.file.operators.pop().inputs, made, Offset=True)


def _slopeless(b: Builder) -> int:
    return b.add("PRELU", [b.image()], b.activation("made", (1, SIDE, SIDE, CHANNELS)))


def _reshaped_to_nothing(b: Builder) -> int:
    wanted = b.constant(np.array([0, -1], np.int32))
    return b.add("RESHAPE", [b.image(), wanted], b.activation("made", (1, 243)))


def _resized_to_gigabytes(b: Builder) -> int:
    size = b.constant(np.array([60000, 60000], np.int32))
    made = b.activation("made", (1, SIDE, SIDE, CHANNELS))
    return b.add("RESIZE_BILINEAR", [b.image(), size], made)


def _clamped_join(b: Builder) -> int:
    made = CASES["concatenation"](b)
    inputs = b.file.operators.pop().inputs
    return b.add("CONCATENATION", inputs, made, Axis=3, FusedActivationFunction=RELU)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (_truncated, r"a CAST makes int32 of 'image' \(float32\)"),
        (_without_scale, r"a CAST makes float32 of 'image' \(uint8\)"),
        (_ends_from_begin, "a STRIDED_SLICE counts its ends from where it begins"),
        (_clamped_join, "a CONCATENATION has the activation RELU"),
        (_slopeless, "a PRELU lacks an input"),
        (_reshaped_to_nothing, "a RESHAPE cannot run on"),
        (_resized_to_gigabytes, "a RESIZE_BILINEAR makes .* more than 100,000,000 numbers"),
    ],
)
def test_a_way_of_using_an_operator_that_has_no_counterpart_is_rejected(
    tmp_path: Path, made: Made, reason: str
) -> None:
    """LiteRT answers 0.2 to 146 off the usual way of the first four, and rejects the next two."""
    builder = Builder("float32")
    path = tmp_path / "model.tflite"
    path.write_bytes(builder.done(made(builder)).encode())
    with pytest.raises(CheckpointError, match=reason):
        translate(read_graph(path))


def _line(strides: list[tuple[int, int]]) -> tuple[Builder, int]:
    """Convolutions of these strides and paddings on 96 pixels, and a dense layer."""
    builder = Builder("float32")
    value = builder.activation("image", (1, 96, 96, CHANNELS))
    for stride, padding in strides:
        value = builder.convolution(value, channels=4, stride=stride, padding=padding)
    return builder, builder.dense(builder.mean(value), CLASSES)


@pytest.mark.parametrize(
    ("strides", "any_size"),
    [
        ([(2, SAME)] * 5, True),
        ([(2, SAME)] * 6, False),  # 3 pixels become 2 with a zero on each side, 2 become 1 with one
        ([(3, SAME)], False),
        ([(3, VALID)], True),
        ([(2, VALID), (2, SAME), (1, SAME)], True),
    ],
)
def test_another_size_is_taken_where_litert_pads_it_alike(
    tmp_path: Path, strides: list[tuple[int, int]], any_size: bool
) -> None:
    """LiteRT, resized to 64, was at most 1e-5 off where it is taken, and 0.2 to 169 elsewhere."""
    builder, output = _line(strides)
    path = tmp_path / "model.tflite"
    path.write_bytes(builder.done(output).encode())
    model = translate(read_graph(path))
    [_, height, width, _] = model.graph.input[0].type.tensor_type.shape.dim
    assert (height.dim_param, width.dim_param) == (("H", "W") if any_size else ("", ""))
    if any_size:
        litert = pytest.importorskip(
            "ai_edge_litert.interpreter", reason="needs LiteRT, of the extra `import`"
        )
        fed = np.random.default_rng(1).uniform(-1, 1, (1, 64, 64, CHANNELS)).astype(np.float32)
        interpreter = litert.Interpreter(model_path=str(path), num_threads=1)
        [entry], [result] = interpreter.get_input_details(), interpreter.get_output_details()
        interpreter.resize_tensor_input(entry["index"], fed.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(entry["index"], fed)
        interpreter.invoke()
        expected = interpreter.get_tensor(result["index"])
        outputs = [model.graph.output[0].name]
        [found] = Runner(model).run(outputs, **{model.graph.input[0].name: fed})
        assert np.abs(found - expected).max() < 1e-5 * max(np.abs(expected).max(), 1)


@pytest.mark.unmeasured
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
    fed_in = {model.graph.input[0].name: PIXELS if case == "cast" else fed(PIXELS, np.float32)}
    [found] = Runner(model).run([model.graph.output[0].name], **fed_in)
    assert np.abs(found - answers[key(case, "float32")]).max() < FLOAT_TOLERANCE


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("layer norm", "has a SQUARED_DIFFERENCE in integers"),
        ("slopes of channels", "has a PRELU in integers"),
        ("unit length", "has an L2_NORMALIZATION in integers"),
        ("GELU", "has a GELU in integers"),
    ],
)
def test_a_function_in_integers_is_rejected_by_its_name(
    tmp_path: Path, case: str, reason: str
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(encode(case, "int8"))
    with pytest.raises(CheckpointError, match=reason):
        translate(read_graph(path))


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

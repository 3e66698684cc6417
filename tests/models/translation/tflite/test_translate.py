"""Every operator of a TFLite graph gives in onnxruntime what LiteRT gives.

LiteRT's answers are recorded in `answers.npz`, so that this runs where there is no LiteRT; to
record them again: `python -m tests.models.translation.tflite.record_answers`.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.checkpoints.tflite.graph import read_graph
from models.importing.graph.verify import Runner
from models.translation.tflite.translate import translate
from tests.models.translation.tflite.operator_files import CASES, PIXELS, PRECISIONS, encode
from tests.models.translation.tflite.record_answers import FILE, fed, key

FLOAT_TOLERANCE = 5e-6
HYBRID_TOLERANCE = 0.15  # LiteRT rounds the activations of a dynamic-range file to 8 bits, too


@pytest.fixture(scope="module")
def answers() -> dict[str, NDArray[Any]]:
    with np.load(FILE) as found:
        return dict(found)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("case", CASES)
def test_an_operator_gives_what_litert_gives(
    tmp_path: Path, answers: dict[str, NDArray[Any]], case: str, precision: str
) -> None:
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
        assert off.max() < (HYBRID_TOLERANCE if precision == "dynamic" else FLOAT_TOLERANCE)

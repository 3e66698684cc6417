"""Reference answers of `.tflite` files from Google's own interpreter (PyPI: ai-edge-litert)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray


def probabilities(paths: Sequence[Path], images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities [N, classes] for images uint8 [N, height, width, 3].

    Several files run one after another, each on what the one before puts out. A float file gets
    x / 127.5 - 1, a quantised one the pixels, less 128 if it takes int8; what it answers in 1/256
    is given as floats.

    This is the interpreter as it comes. On quantised files its own kinds of kernels (XNNPACK, which
    is what one gets, and the two plain ones) are up to 0.1 apart: they round differently, and one
    step of a logit, 0.1 to 0.17, moves a probability of one half by 0.04.
    """
    stages = [Interpreter(model_path=str(path), num_threads=1) for path in paths]
    for stage in stages:
        stage.allocate_tensors()
    return np.concatenate([_run(stages, image[None]) for image in images])


def _run(stages: Sequence[Interpreter], image: NDArray[np.uint8]) -> NDArray[np.float32]:
    fed: NDArray[np.generic] = image
    kind = stages[0].get_input_details()[0]["dtype"]
    if kind == np.float32:
        fed = image.astype(np.float32) / np.float32(127.5) - np.float32(1)
    elif kind == np.int8:
        fed = (image.astype(np.int16) - 128).astype(np.int8)
    for stage in stages:
        stage.set_tensor(stage.get_input_details()[0]["index"], fed)
        stage.invoke()
        fed = stage.get_tensor(stage.get_output_details()[0]["index"])
    scale, zero_point = stages[-1].get_output_details()[0]["quantization"]
    answer = fed.astype(np.float32)
    return answer if scale == 0 else (answer - np.float32(zero_point)) * np.float32(scale)

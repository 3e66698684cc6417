"""LiteRT (PyPI: ai-edge-litert) as the judge of a translated `.tflite` file, if it is installed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models.checkpoints.tflite.graph import Graph
from models.importing.checks import Refused
from models.importing.judges.compare import FLOAT_TOLERANCE

INTEGER_TOLERANCE = 0.02
# Where activations are rounded by their range at run time, the last digit of a float moves values
# by a step, layer after layer, so that LiteRT is as far off itself as off floats: up to 0.02 on
# trained networks. The margin is for images that are not among those of the comparison.
RUN_TIME_TOLERANCE = 0.01


class LiteRT:
    """Google's interpreter with the kernels that it takes by itself.

    Its other kernels round quantised files otherwise.
    """

    name = "LiteRT"
    advice = ""

    def __init__(self, path: Path, graph: Graph) -> None:
        self.path = path
        integers = [tensor for tensor in graph.tensors if tensor.scales]
        constants = [tensor for tensor in integers if tensor.values is not None]
        self.rounds_at_run_time = bool(constants) and len(constants) == len(integers)
        self.tolerance = INTEGER_TOLERANCE if constants else FLOAT_TOLERANCE
        if self.rounds_at_run_time:
            self.tolerance = RUN_TIME_TOLERANCE

    @classmethod
    def of(cls, path: Path, graph: Graph) -> Self | None:
        """None where LiteRT is not installed."""
        return cls(path, graph) if find_spec("ai_edge_litert") else None

    def scores(self, fed: NDArray[Any]) -> NDArray[np.float32]:
        """The scores as floats, [N, ...], for inputs [N, H, W, C].

        The interpreter, which packs all weights anew, lives no longer than this call.

        Raises:
            Refused: LiteRT cannot load the file.
        """
        from ai_edge_litert.interpreter import Interpreter

        try:
            with _quiet():
                interpreter = Interpreter(model_path=str(self.path), num_threads=1)
                interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise Refused(f"{self.path.name}: LiteRT cannot load it: {error}") from error
        [source] = interpreter.get_input_details()
        [target] = interpreter.get_output_details()
        rows = []
        for image in fed:
            interpreter.set_tensor(source["index"], _stored(image[None], source))
            interpreter.invoke()
            rows.append(interpreter.get_tensor(target["index"]))
        made = np.concatenate(rows).astype(np.float32)
        scale, zero_point = target["quantization"]
        return made if not scale else (made - np.float32(zero_point)) * np.float32(scale)


@contextmanager
def _quiet() -> Iterator[None]:
    """Discard what native code writes to stderr: which kernels it takes."""
    kept = os.dup(2)
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _stored(image: NDArray[Any], source: dict[str, Any]) -> NDArray[Any]:
    """Floats or uint8 pixels as the file stores its input."""
    kind = np.dtype(source["dtype"])
    if image.dtype == kind:
        return image
    if image.dtype == np.uint8:
        return (image.astype(np.int16) - 128).astype(np.int8)
    scale, zero_point = source["quantization"]
    limits = np.iinfo(kind)
    levels = np.round(image / np.float32(scale)) + zero_point
    made: NDArray[Any] = np.clip(levels, limits.min, limits.max).astype(kind)
    return made

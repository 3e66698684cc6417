"""Record what LiteRT (PyPI: ai-edge-litert) answers to the files of `operator_files`."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.models.translation.tflite.operator_files import (
    PAIRS,
    PIXELS,
    encode,
)

FILE = Path(__file__).with_name("answers.npz")


def key(case: str, precision: str) -> str:
    return f"{case}, {precision}"


def fed(pixels: NDArray[np.uint8], kind: Any) -> NDArray[Any]:
    """Pixels as an input of this type takes them."""
    if kind == np.float32:
        return pixels.astype(np.float32) / np.float32(127.5) - np.float32(1)
    return pixels if kind == np.uint8 else (pixels.astype(np.int16) - 128).astype(np.int8)


def answer(content: bytes) -> NDArray[Any]:
    """What LiteRT gives, as it is stored in the output."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    [source], [target] = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for image in PIXELS:
        interpreter.set_tensor(source["index"], fed(image[None], source["dtype"]))
        interpreter.invoke()
        found.append(interpreter.get_tensor(target["index"]))
    return np.concatenate(found)


def main() -> None:
    recorded = {key(*pair): answer(encode(*pair)) for pair in PAIRS}
    np.savez_compressed(FILE, **recorded)  # type: ignore[arg-type]  # NumPy's stub for **kwds


if __name__ == "__main__":
    main()

"""What the real exporters wrote (see `record_exports.py`), and what is made of it in a test."""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from app.model.runtime import new_session
from models.importing.dialogue.options import Choices
from tests.models.importing.inputs import LABELS, SIDE, images, scaled

FOLDER = Path(__file__).with_name("exports")
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Export:
    """An exporter's file: how its documentation feeds it, and what it is like."""

    name: str
    like: str
    nhwc: bool = False
    free_size: bool = False

    def unpack(self, folder: Path) -> Path:
        path = folder / f"{self.name}.onnx"
        path.write_bytes(gzip.decompress((FOLDER / f"{self.name}.onnx.gz").read_bytes()))
        return path

    def fed(self, pixels: NDArray[np.uint8]) -> Floats:
        """Images as its framework takes them."""
        if self.nhwc:
            return scaled(pixels, 0.5, 0.5)
        floats = scaled(pixels, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        return np.ascontiguousarray(floats.transpose(0, 3, 1, 2))

    def recorded(self) -> Floats:
        """The framework's own probabilities for `images()`."""
        return np.array(json.loads((FOLDER / f"{self.name}.json").read_text()), np.float32)

    def answers(self, path: Path, pixels: NDArray[np.uint8]) -> Floats:
        """Probabilities of a file of this kind, one image at a time, as its users run it."""
        session = new_session(path)
        [entry] = session.get_inputs()
        rows = [session.run(None, {entry.name: self.fed(image[None])})[0][0] for image in pixels]
        scores = np.stack(rows)
        if self.nhwc:
            return scores
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        made: Floats = powers / powers.sum(axis=1, keepdims=True)
        return made

    def choices(self, labels: Path, **more: Any) -> Choices:
        size = {"resolution": SIDE} if self.free_size else {}
        return Choices(**({"like": self.like, "labels": str(labels)} | size | more))


EXPORTS = (
    Export("torch_export", "torchvision"),
    Export("torch_script", "torchvision", free_size=True),
    Export("tf2onnx", "keras", nhwc=True),
)
TORCH, TORCH_SCRIPT, KERAS = EXPORTS


def write_labels(folder: Path) -> Path:
    path = folder / "labels.txt"
    path.write_text("\n".join(LABELS) + "\n")
    return path


def run(model: onnx.ModelProto, pixels: NDArray[np.uint8] | None = None) -> list[Floats]:
    """Probabilities and embedding of an adopted model."""
    session = new_session(model.SerializeToString())
    fed = images() if pixels is None else pixels
    outputs: list[Floats] = session.run(["probabilities", "embedding"], {"image": fed})
    return outputs

"""What the real frameworks saved of fine-tuned networks (see `record_finetuned.py`)."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.adoption.checkpoint import adopt_checkpoint
from models.adoption.choices import Choices
from models.adoption.findings import Adoption
from models.adoption.weights import kind_of
from tests.models.adoption.exported import write_labels
from tests.models.adoption.inputs import SIDE

FOLDER = Path(__file__).with_name("finetuned")
KERAS, KERAS_H5, TORCH = "tutorial.keras", "tutorial.h5", "loop.pth.tar"
TFLITE, TFLITE_DYNAMIC = "tutorial.tflite", "dynamic.tflite"
FILES = (KERAS, KERAS_H5, TORCH, TFLITE)


def unpack(name: str, folder: Path) -> Path:
    path = folder / name
    path.write_bytes(gzip.decompress((FOLDER / f"{name}.gz").read_bytes()))
    return path


def recorded(name: str) -> NDArray[np.float32]:
    """The framework's own probabilities for `images()`."""
    return np.array(json.loads((FOLDER / f"{name}.json").read_text()), np.float32)


def adopted(path: Path, name: str | None = None, **said: Any) -> Adoption:
    """As `models import` does it, with names and resolution unless something else is said."""
    given = {"resolution": SIDE} | said
    if "labels" not in given:
        given["labels"] = str(write_labels(path.parent))
    kind = kind_of(path)
    assert kind is not None
    return adopt_checkpoint(path, kind, Choices(**given), name)

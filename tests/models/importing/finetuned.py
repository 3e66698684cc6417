"""Fine-tuned networks: some that real frameworks saved (`record_finetuned.py`), some made here."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.checkpoints.torch import torchvision
from models.importing.adopt import adopt_file
from models.importing.dialogue.options import Choices
from models.importing.report import Adoption
from models.network.design import define
from tests.models.checkpoints.torch import torch_files as write
from tests.models.checkpoints.torch.state_dicts import Tensors, state_dict
from tests.models.importing.exported import write_labels
from tests.models.importing.inputs import LABELS, MEAN, SIDE, STD

FOLDER = Path(__file__).with_name("finetuned")
KERAS, KERAS_H5, TORCH = "tutorial.keras", "tutorial.h5", "loop.pth.tar"
TFLITE, TFLITE_DYNAMIC = "tutorial.tflite", "dynamic.tflite"
FILES = (KERAS, KERAS_H5, TORCH, TFLITE)
CLASSES = len(LABELS)


def unpack(name: str, folder: Path) -> Path:
    path = folder / name
    path.write_bytes(gzip.decompress((FOLDER / f"{name}.gz").read_bytes()))
    return path


def recorded(name: str) -> NDArray[np.float32]:
    """The framework's own probabilities for `images()`."""
    return np.array(json.loads((FOLDER / f"{name}.json").read_text()), np.float32)


def adopted(path: Path, name: str | None = None, **said: Any) -> Adoption:
    """As `models import` does it, with all that the file leaves open unless it is said."""
    given = {"resolution": SIDE} | said
    if not given.keys() & {"like", "mean", "std", "photos"}:
        given |= scaling_of(path)
    if "labels" not in given:
        given["labels"] = str(write_labels(path.parent))
    return adopt_file(path, Choices(**given), name)


def scaling_of(path: Path) -> dict[str, tuple[float, ...]]:
    """What weights alone were trained with here; whole models say it themselves."""
    if path.name.endswith(".weights.h5"):
        return {"mean": (0.5,), "std": (0.5,)}
    torch = path.suffix in (".pth", ".pt", ".tar", ".safetensors")
    return {"mean": MEAN, "std": STD} if torch else {}


def save_torch(path: Path, tensors: Tensors) -> Path:
    """A `.pth` of a state dict."""
    path.write_bytes(write.zipped(*write.state_dict(tensors)))
    return path


def torchvision_tensors(alpha: float = 0.1, classes: int = CLASSES, head: str = "") -> Tensors:
    """torchvision's state dict with another number of classes."""
    network = define("mobilenet_v2", alpha, SIDE, classes, "symmetric")
    return state_dict(network, torchvision.convolutions(), head or torchvision.CLASSIFIER)

"""Keras, of any backend, as the judge of a translated model, if it is installed."""

import json
import os
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.errors import first_line
from models.checkpoints.keras.config import configuration
from models.importing.checks import Refused
from models.importing.judges.compare import FLOAT_TOLERANCE
from models.translation.keras.layers import LAYERS, is_inert
from models.translation.keras.read import MODELS

BACKENDS = ("tensorflow", "torch", "jax")
INSTALL = "install keras and tensorflow"
# What may have a configuration of its own in that of a layer, apart from layers. Keras can load any
# class by its name, and some of those run code of the file.
HARMLESS = {
    "GlorotUniform", "GlorotNormal", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform",
    "Zeros", "Ones", "Constant", "RandomNormal", "RandomUniform", "TruncatedNormal",
    "VarianceScaling", "Orthogonal", "L1", "L2", "L1L2", "MaxNorm", "NonNeg", "UnitNorm",
    "DTypePolicy", "Policy", "__keras_tensor__", "TFOpLambda",
}  # fmt: skip
MODULES = ("keras", "keras.", "tensorflow.keras.", "tf_keras.")


class Judgement(NamedTuple):
    """A judge, or why there is none."""

    judge: "Keras | None"
    reason: str | None


class Keras:
    """The whole file, loaded by Keras in its safe mode."""

    tolerance = FLOAT_TOLERANCE
    advice = ""
    rounds_at_run_time = False

    def __init__(self, model: Any, version: str) -> None:
        self.model = model
        self.name = f"Keras {version}"

    def scores(self, fed: NDArray[Any]) -> NDArray[Any]:
        """The scores as floats, one row an image, for inputs [N, H, W, C].

        Raises:
            Refused: Keras cannot run the model on images of this size.
        """
        try:
            return np.asarray(self.model.predict_on_batch(fed), np.float32)
        except Exception as error:  # of any backend
            raise Refused(
                f"{self.name} cannot run the model on images of {fed.shape[1]} pixels: "
                f"{first_line(error)[:200]}. Remove --resolution if you set it."
            ) from error


def judgement(path: Path) -> Judgement:
    """Load a file that was translated."""
    if find_spec("keras") is None:
        return Judgement(None, f"not judged: {INSTALL}")
    if (stranger := _stranger(json.loads(configuration(path) or "{}"))) is not None:
        return Judgement(None, f"not judged: {stranger!r} in the file may run code in Keras")
    installed = [name for name in BACKENDS if find_spec(name)]
    if installed and "tensorflow" not in installed:  # which Keras takes unless it is told
        os.environ.setdefault("KERAS_BACKEND", installed[0])
    try:
        keras = import_module("keras")
    except Exception as error:  # a backend that is absent or broken
        return Judgement(None, f"not judged: {INSTALL} (Keras does not start: {first_line(error)})")
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # of another version, most often
        why = f"Keras {keras.__version__} cannot load the file: {first_line(error)[:200]}"
        return Judgement(None, f"not judged: {why}")
    return Judgement(Keras(model, keras.__version__), None)


def _stranger(config: Any) -> str | None:
    """A class in the configuration that is not known to be harmless."""
    known = {*LAYERS, *MODELS, *HARMLESS}
    for found in _classes(config):
        module, name = found.get("module"), found["class_name"]
        own = module is None or (isinstance(module, str) and module.startswith(MODULES))
        if not own or not isinstance(name, str) or not (name in known or is_inert(name)):
            return str(name)
    return None


def _classes(config: Any) -> Iterator[dict[str, Any]]:
    """Every mapping that names a class, but for those of the training, which is not loaded."""
    waiting = [config]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            if "class_name" in found:
                yield found
            waiting += [value for key, value in found.items() if key != "compile_config"]
        elif isinstance(found, list):
            waiting += found

"""Record what Keras itself makes of weights that the rule of `models.export.derived_weights` gives.

`keras_mobilenets.json` beside this script holds its answers, and how its files are laid out. To
make it again, from the folder of the project:

    python -m venv /tmp/keras
    /tmp/keras/bin/pip install keras==3.15.1 torch==2.13.0 h5py numpy pillow pydantic scikit-image
    KERAS_BACKEND=torch /tmp/keras/bin/python -m tests.models.fidelity.record_keras

Apart from the inputs and the rule, nothing of this project takes part.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from tests.models.fidelity.answers import record_of
from tests.models.fidelity.inputs import Input
from tests.models.fidelity.keras_record import CASES, RECORD, derived_tensor, inputs

APPLICATIONS = {
    "mobilenet_v1": (keras.applications.MobileNet, keras.applications.mobilenet),
    "mobilenet_v2": (keras.applications.MobileNetV2, keras.applications.mobilenet_v2),
}


def build(family: str, alpha: float, resolution: int) -> Any:
    """A model of Keras Applications with derived weights; the same names in every process."""
    keras.utils.clear_session()
    make, _ = APPLICATIONS[family]
    model = make(weights=None, alpha=alpha, input_shape=(resolution, resolution, 3))
    for layer in model.layers:
        paths = [f"{layer.name}/{weight.name}" for weight in layer.weights]
        shapes = [tuple(weight.shape) for weight in layer.weights]
        layer.set_weights(list(map(derived_tensor, paths, shapes)))
    return model


def layout(model: Any) -> tuple[dict[str, Any], list[list[int]]]:
    """Names in the two kinds of file that Keras writes, and the shapes of the tensors."""
    with tempfile.TemporaryDirectory() as folder:
        named, counted = Path(folder) / "saved.h5", Path(folder) / "saved.weights.h5"
        model.save(named)
        model.save_weights(counted)
        with h5py.File(named) as file:
            saved = file["model_weights"]
            names = [str(name) for name in saved.attrs["layer_names"]]
            layers = {name: list(saved[name].attrs["weight_names"]) for name in names}
            shapes = [
                list(saved[name][path].shape) for name, paths in layers.items() for path in paths
            ]
        with h5py.File(counted) as file:
            groups = {
                group: layer["vars"].attrs.get("name", "") if layer.get("vars") else ""
                for group, layer in file["layers"].items()
            }
    return {"layers": layers, "groups": groups}, shapes


def answer(model: Any, family: str, given: Input) -> dict[str, Any]:
    """What the network makes of an input, as it is recorded."""
    _, module = APPLICATIONS[family]
    scaled = module.preprocess_input(given.pixels.astype(np.float32)[np.newaxis])
    [probabilities] = keras.ops.convert_to_numpy(model(scaled, training=False))
    return record_of(given, probabilities)


def main() -> None:
    layouts, cases = {}, []
    for family, alpha, resolution in CASES:
        model = build(family, alpha, resolution)
        layouts[family], shapes = layout(model)
        answers = [answer(model, family, given) for given in inputs(resolution)]
        cases.append(
            {
                "family": family,
                "alpha": alpha,
                "resolution": resolution,
                "shapes": shapes,
                "answers": answers,
            }
        )
    body = ",\n".join(json.dumps(case) for case in cases)
    head = f'"keras": "{keras.__version__}",\n"layouts": {json.dumps(layouts)}'
    RECORD.write_text(f'{{{head},\n"cases": [\n{body}\n]}}\n')


if __name__ == "__main__":
    main()

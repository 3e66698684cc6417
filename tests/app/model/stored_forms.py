"""Stores with two forms of one small model, and INT8 forms that pass or fail their self-test."""

import base64
from pathlib import Path
from random import Random
from typing import Literal

import numpy as np
import onnx
import onnxruntime

from app.card.card import CARD_KEY, QuantizationReport, parse_card
from models.export.export import read_metadata
from tests.exports import export_random

FLOAT = "mobilenet_v2_0.35_96"
INT8 = f"{FLOAT}_ptq"
SelfTest = Literal["passes", "fails", "missing", "malformed"]


def put_float(folder: Path) -> Path:
    """Write the float form."""
    return export_random(folder, "mobilenet_v2", 0.35, 96)


def put_int8(
    folder: Path,
    self_test: SelfTest = "passes",
    *,
    source: str = FLOAT,
    name: str | None = None,
    agreement: float = 97.5,
) -> Path:
    """Write a file whose card says that it is the INT8 form of `source`.

    Its weights are other random ones, in float, so that its answers differ from those of the float
    form and each form's own can be told apart.
    """
    making = folder / ".making"
    making.mkdir()
    path = export_random(making, "mobilenet_v2", 0.35, 96, seed=1)
    proto = onnx.load(path)
    card = parse_card(read_metadata(path)[CARD_KEY])
    report = {
        "source": source,
        "method": "per_channel",
        "float_layers": (),
        "calibration_images": 23,
        "compared_images": 100,
        "top1_agreement": agreement,
        "probability_difference": 0.01,
        "float_ms": 2.0,
        "int8_ms": 1.0,
        "device": "a test",
    }
    changes = {
        "name": name or f"{source}_ptq",
        "precision": "int8",
        "precision_origin": "post_training_int8",
        "accuracy": None,
        "quantization": QuantizationReport.model_validate(
            {key: report[key] for key in QuantizationReport.model_fields}
        ),
    }
    made = type(card).model_validate(dict(card) | changes)
    properties = {CARD_KEY: made.model_dump_json()}
    if self_test != "missing":
        properties["mobilenet_gateway_self_test"] = _answers(path, self_test)
    onnx.helper.set_model_props(proto, properties)
    onnx.save(proto, path)
    path = path.rename(folder / f"{made.name}.onnx")
    making.rmdir()
    return path


def _answers(path: Path, self_test: SelfTest) -> str:
    """What the file computes for the fixed image, or something else."""
    if self_test == "malformed":
        return "AAAA"
    tiles = np.frombuffer(Random(0).randbytes(8 * 8 * 3), np.uint8).reshape(8, 8, 3)
    image = np.repeat(np.repeat(tiles, 12, axis=0), 12, axis=1)[np.newaxis]
    [embedding] = onnxruntime.InferenceSession(path).run(["embedding"], {"image": image})
    if self_test == "fails":
        embedding = embedding[:, ::-1]
    return base64.b64encode(embedding.astype("<f2").tobytes()).decode()

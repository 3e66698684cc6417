"""What the service and its models say of themselves in the Open Inference Protocol.

All of it is plain values, which REST sends as JSON and gRPC as the messages of the same fields.
"""

from typing import Any

from app import __version__
from app.card.card import INPUT
from app.model.model import Model
from app.oip.request import VERSION

SERVER = "mobilenet-gateway"
PLATFORM, BACKEND = "onnxruntime_onnx", "onnxruntime"  # as Triton and the protocol call it
EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "statistics",
)
UNKNOWN = -1  # of a dimension: any size


def server_metadata() -> dict[str, Any]:
    """Name, version and extensions."""
    return {"name": SERVER, "version": __version__, "extensions": list(EXTENSIONS)}


def model_metadata(model: Model) -> dict[str, Any]:
    """The tensors of a model. The input may also be BYTES, which the protocol cannot say."""
    pixels = {"name": INPUT, "datatype": "UINT8", "shape": [UNKNOWN, UNKNOWN, UNKNOWN, 3]}
    outputs = [
        {"name": name, "datatype": "FP32", "shape": [UNKNOWN, width]}
        for name, width in model.outputs.items()
    ]
    return {
        "name": model.name,
        "versions": [VERSION],
        "platform": PLATFORM,
        "inputs": [pixels],
        "outputs": outputs,
    }


def model_config(model: Model, max_images: int) -> dict[str, Any]:
    """The part of Triton's model configuration that clients ask for; no batch in the dims."""
    pixels = {
        "name": INPUT,
        "data_type": "TYPE_UINT8",
        "format": "FORMAT_NHWC",
        "dims": [UNKNOWN, UNKNOWN, 3],
    }
    outputs = [
        {"name": name, "data_type": "TYPE_FP32", "dims": [width]}
        for name, width in model.outputs.items()
    ]
    return {
        "name": model.name,
        "platform": PLATFORM,
        "backend": BACKEND,
        "max_batch_size": max_images,
        "input": [pixels],
        "output": outputs,
    }

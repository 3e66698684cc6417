"""Metadata of the service and its models in the Open Inference Protocol.

The functions return plain values, which REST sends as JSON and gRPC as messages with these fields.
"""

from typing import Any

from app import __version__
from app.card.card import INPUT
from app.model.model import Model
from app.oip.request import VERSION

PLATFORM = "onnxruntime_onnx"  # the name of Triton and the protocol
ANY_SIZE = -1  # of a dimension


def server_metadata() -> dict[str, Any]:
    extensions = [
        "binary_tensor_data",
        "classification",
        "model_configuration",
        "model_repository",
        "statistics",
    ]
    return {"name": "mobilenet-gateway", "version": __version__, "extensions": extensions}


def model_metadata(model: Model) -> dict[str, Any]:
    """The tensors of a model. The input may also be BYTES, which the protocol cannot express."""
    pixels = {"name": INPUT, "datatype": "UINT8", "shape": [ANY_SIZE, ANY_SIZE, ANY_SIZE, 3]}
    outputs = [
        {"name": name, "datatype": "FP32", "shape": [ANY_SIZE, width]}
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
    """The part of Triton's model configuration that clients read; `dims` omit the batch."""
    pixels = {
        "name": INPUT,
        "data_type": "TYPE_UINT8",
        "format": "FORMAT_NHWC",
        "dims": [ANY_SIZE, ANY_SIZE, 3],
    }
    outputs = [
        {"name": name, "data_type": "TYPE_FP32", "dims": [width]}
        for name, width in model.outputs.items()
    ]
    return {
        "name": model.name,
        "platform": PLATFORM,
        "backend": "onnxruntime",
        "max_batch_size": max_images,
        "input": [pixels],
        "output": outputs,
    }

"""Metadata and statistics of the service and its models in the Open Inference Protocol.

The functions return plain values, which REST sends as JSON and gRPC as messages with these fields.
"""

from collections.abc import Iterable
from typing import Any

from app import __version__
from app.card.card import INPUT
from app.model.model import Model
from app.oip.request import VERSION
from app.telemetry.metrics import Metrics
from app.telemetry.totals import totals

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


def model_metadata(name: str, model: Model) -> dict[str, Any]:
    """The tensors of a model under this name, which may be an alias.

    The input may also be BYTES, which the protocol cannot express.
    """
    pixels = {"name": INPUT, "datatype": "UINT8", "shape": [ANY_SIZE, ANY_SIZE, ANY_SIZE, 3]}
    outputs = [
        {"name": name, "datatype": "FP32", "shape": [ANY_SIZE, width]}
        for name, width in model.outputs.items()
    ]
    return {
        "name": name,
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


def model_statistics(metrics: Metrics, models: Iterable[Model]) -> dict[str, Any]:
    """Counts and nanoseconds by model since the start, as in Triton's statistics extension."""
    return {"model_stats": [_statistics(metrics, model.name) for model in models]}


def _statistics(metrics: Metrics, name: str) -> dict[str, Any]:
    total = totals(metrics, name)
    times = {
        "queue": total.queue_s,
        "compute_input": total.decode_s,
        "compute_infer": total.inference_s,
    }
    return {
        "name": name,
        "version": VERSION,
        "inference_count": total.answered,
        "execution_count": total.answered,
        "inference_stats": {
            "success": _duration(total.answered, sum(times.values())),
            "fail": _duration(total.failed, 0),
            **{stage: _duration(total.answered, spent_s) for stage, spent_s in times.items()},
        },
    }


def _duration(count: int, spent_s: float) -> dict[str, int]:
    return {"count": count, "ns": round(spent_s * 1e9)}

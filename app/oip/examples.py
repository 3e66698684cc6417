"""Examples of the protocol in the API reference: answers of the service to real requests.

The model is the default one, the photo is scikit-image's cat, like in `app.request.examples`.
"""

from typing import Any

from app import __version__
from app.request.examples import MODEL, TINY_PNG

SERVER_METADATA: dict[str, Any] = {
    "name": "mobilenet-gateway",
    "version": __version__,
    "extensions": [
        "binary_tensor_data",
        "classification",
        "model_configuration",
        "model_repository",
        "statistics",
    ],
}
MODEL_READY: dict[str, Any] = {"name": MODEL, "ready": True}
MODEL_METADATA: dict[str, Any] = {
    "name": MODEL,
    "versions": ["1"],
    "platform": "onnxruntime_onnx",
    "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}],
    "outputs": [
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 1000]},
        {"name": "embedding", "datatype": "FP32", "shape": [-1, 1280]},
    ],
}
MODEL_CONFIG: dict[str, Any] = {
    "name": MODEL,
    "platform": "onnxruntime_onnx",
    "backend": "onnxruntime",
    "max_batch_size": 32,
    "input": [
        {
            "name": "image",
            "data_type": "TYPE_UINT8",
            "format": "FORMAT_NHWC",
            "dims": [-1, -1, 3],
        }
    ],
    "output": [
        {"name": "probabilities", "data_type": "TYPE_FP32", "dims": [1000]},
        {"name": "embedding", "data_type": "TYPE_FP32", "dims": [1280]},
    ],
}
STATISTICS: dict[str, Any] = {
    "model_stats": [
        {
            "name": MODEL,
            "version": "1",
            "inference_count": 1,
            "execution_count": 1,
            "inference_stats": {
                "success": {"count": 1, "ns": 11019000},
                "fail": {"count": 0, "ns": 0},
                "queue": {"count": 1, "ns": 80000},
                "compute_input": {"count": 1, "ns": 2257000},
                "compute_infer": {"count": 1, "ns": 8682000},
            },
        }
    ]
}
INFERENCE_REQUEST: dict[str, Any] = {
    "inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [TINY_PNG]}],
    "outputs": [{"name": "probabilities", "parameters": {"classification": 2}}],
}
INFERENCE_RESPONSE: dict[str, Any] = {
    "model_name": MODEL,
    "model_version": "1",
    "outputs": [
        {
            "name": "probabilities",
            "datatype": "BYTES",
            "shape": [1, 2],
            "data": ["0.711842:285:Egyptian cat", "0.146230:282:tiger cat"],
        }
    ],
}
REPOSITORY_INDEX: list[dict[str, Any]] = [
    {"name": MODEL, "version": "1", "state": "READY", "reason": ""}
]

# Details of errors that differ from those of /predict, by type.
DETAILS = {
    "bad-query": "top_k: unknown parameter",
    "bad-request": "image: the shape [2] has 2 elements, but 1 were sent.",
    "last-model": f"{MODEL} is the only loaded model. Load another one first.",
    "model-in-use": f"{MODEL} is the base of gate. Unload these first.",
    "store-unusable": "Cannot load the model. The server's log has the reason.",
    "unknown-model": f"Unknown model 'mobilenet_v3'. Loaded models: {MODEL}.",
}

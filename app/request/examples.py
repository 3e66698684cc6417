"""Examples in the API reference: answers of the service to real requests.

The model is the default one, the photo is scikit-image's cat. Tests repeat the requests.
"""

from typing import Any

from app.errors import NotAnImage
from app.images.formats import SUPPORTED_TEXT
from app.problem import to_problem
from app.settings import Settings
from app.shown_settings import public_settings

MODEL = "mobilenet_v2_1.0_224"
ACCURACY_SOURCE = "torchvision MobileNet_V2_Weights.IMAGENET1K_V1"

PREDICTIONS: list[dict[str, Any]] = [
    {"class_id": 285, "label": "Egyptian cat", "probability": 0.7118421792984009},
    {"class_id": 282, "label": "tiger cat", "probability": 0.146230086684227},
    {"class_id": 281, "label": "tabby", "probability": 0.13159433007240295},
    {"class_id": 478, "label": "carton", "probability": 0.00361697212792933},
    {"class_id": 287, "label": "lynx", "probability": 0.0007993078324943781},
]
NOT_AN_IMAGE = to_problem(NotAnImage(f"Unrecognized image format. {SUPPORTED_TEXT}"))
ANSWER: dict[str, Any] = {
    "model": MODEL,
    "resolution": 224,
    "results": [
        {"predictions": PREDICTIONS, "queue_ms": 0.08, "decode_ms": 2.257, "inference_ms": 8.682},
        {
            "predictions": [],
            "queue_ms": 0.0,
            "decode_ms": 0.0,
            "inference_ms": 0.0,
            "error": NOT_AN_IMAGE.model_dump(),
        },
    ],
}

# A white PNG of 8 x 8 pixels, twice.
TINY_PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAIAQAAAADsdIMmAAAADUlEQVR42mP4z8SADAEPcQEOdvOI0AAAAABJRU5ErkJg"
    "gg=="
)
PREDICT_BODY = {"images": [TINY_PNG, f"data:image/png;base64,{TINY_PNG}"]}

CAMERAS = {
    "cameras": [
        {
            "name": "gate",
            "source": {"kind": "mjpeg", "address": "http://192.168.1.20:81/stream"},
            "model": "gate",
            "zone": [[0.1, 0.2, 0.5, 0.6]],
            "connected": True,
            "error": None,
            "label": "open",
            "probability": 0.9312,
            "since": "2026-11-30T12:00:00.250000Z",
            "frames_per_s": 5.0,
            "frame_age_ms": 112.4,
            "stale_after_ms": 11000.0,
            "frames_seen": 61400,
            "frames_unchanged": 60120,
            "frames_dropped": 3,
            "frames_failed": 0,
            "reconnects": 1,
        }
    ],
    "mqtt": {"connected": True},
}
CAPTURES: dict[str, Any] = {
    "captures": [
        {
            "id": "20261130T120000000000Z",
            "created": "2026-11-30T12:00:00Z",
            "model": MODEL,
            "reason": "uncertain",
            "predictions": [{"class_id": 281, "label": "tabby", "probability": 0.4127}],
            "bytes": 48211,
        }
    ],
    "bytes": 48433,
    "limit_bytes": 200000000,
}
MODEL_SUMMARY: dict[str, Any] = {
    "name": MODEL,
    "default": True,
    "state": "loaded",
    "family": "mobilenet_v2",
    "alpha": 1.0,
    "resolution": 224,
    "resolutions": "96 to 512 in steps of 32",
    "precision": "fp32",
    "params": 3504872,
    "madds": 300774272,
    "file_bytes": 13997144,
    "providers": ["cpu"],
    "peak_activation_bytes": 6021120,
    "top1": {"percent": 71.878, "source": ACCURACY_SOURCE},
    "top5": {"percent": 90.286, "source": ACCURACY_SOURCE},
    "saving": {
        "standard_params": 11131976,
        "standard_madds": 1224972288,
        "params_ratio": 3.18,
        "madds_ratio": 4.07,
    },
}
MODEL_LIST: dict[str, Any] = {"models": [MODEL_SUMMARY], "broken": {}}

# The first 3 of 1000 labels.
MODEL_DETAIL: dict[str, Any] = {
    "state": "loaded",
    "file_bytes": 13997144,
    "providers": ["cpu"],
    "card": {
        "card_version": 5,
        "name": MODEL,
        "family": "mobilenet_v2",
        "alpha": 1.0,
        "resolution": 224,
        "resolutions": {"minimum": 96, "maximum": 512, "step": 32},
        "channels": 3,
        "precision": "fp32",
        "precision_origin": "float",
        "labels": ["tench", "goldfish", "great white shark"],
        "background": None,
        "head_activation": "softmax",
        "preprocessing": {
            "resize": "shortest_edge",
            "crop_fraction": 0.875,
            "interpolation": "bilinear",
        },
        "accuracy": {"top1": 71.878, "top5": 90.286, "source": ACCURACY_SOURCE},
        "origin": {
            "kind": "published",
            "source": ACCURACY_SOURCE,
            "files": [
                {
                    "name": "mobilenet_v2-b0353104.pth",
                    "sha256": "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
                }
            ],
            "licence": "BSD-3-Clause",
        },
        "base_sha256": None,
        "cost": {
            "params": 3504872,
            "stored_params": 3487816,
            "madds": 300774272,
            "classifier_madds": 1280000,
            "peak_activation_bytes": 6021120,
            "standard_params": 11131976,
            "standard_madds": 1224972288,
        },
        "quantization": None,
        "measured": [],
    },
}

# The first 2 of 66 layers.
LAYER_TABLE: dict[str, Any] = {
    "model": MODEL,
    "resolution": 224,
    "madds": 300774272,
    "peak_activation_bytes": 6021120,
    "layers": [
        {
            "name": "stem",
            "kind": "conv",
            "input_shape": [3, 224, 224],
            "output_shape": [32, 112, 112],
            "kernel": [3, 3],
            "stride": 2,
            "groups": 1,
            "weights": 864,
            "biases": 0,
            "batch_norm_params": 64,
            "madds": 10838016,
            "activation_bytes": 1605632,
        },
        {
            "name": "block_0_depthwise",
            "kind": "depthwise",
            "input_shape": [32, 112, 112],
            "output_shape": [32, 112, 112],
            "kernel": [3, 3],
            "stride": 1,
            "groups": 32,
            "weights": 288,
            "biases": 0,
            "batch_norm_params": 64,
            "madds": 3612672,
            "activation_bytes": 1605632,
        },
    ],
}

VARIANTS: list[dict[str, Any]] = [
    {
        "model": MODEL,
        "resolution": resolution,
        "precision": "fp32",
        "top1": top1,
        "top1_basis": "published" if resolution == 224 else "interpolated",
        "params": 3504872,
        "madds": madds,
        "memory_bytes": memory_bytes,
        "inference_ms": inference_ms,
        "inference_p95_ms": inference_p95_ms,
        "samples": samples,
        "idle_ms": idle_ms,
    }
    for resolution, top1, madds, memory_bytes, inference_ms, inference_p95_ms, samples, idle_ms in (
        (224, 71.878, 300774272, 20018264, 4.612, 5.206, 128, 4.391),
        (192, 70.78, 221316608, 18420824, 3.4, 3.611, 0, 3.4),
        (160, 68.88, 154083200, 17069144, 2.512, 2.602, 0, 2.512),
        (128, 65.38, 99074048, 15963224, 1.642, 1.7, 0, 1.642),
        (96, 60.38, 56289152, 15103064, 1.01, 1.045, 0, 1.01),
    )
]
MODEL_DETAIL["variants"] = VARIANTS
FRONTIER: dict[str, Any] = {
    "variants": [variant | {"on_frontier": True, "beaten_by": None} for variant in VARIANTS],
    "decoding": [
        {
            "image_bytes": 131071,
            "resolution": 224,
            "decode_ms": 1.2,
            "decode_p95_ms": 1.912,
            "samples": 128,
        }
    ],
    "brownout_step": 0,
}
MEASURE_REPORT: dict[str, Any] = {"measured": 5, "left_out": 0, "took_s": 0.131}

RELOAD_REPORT: dict[str, Any] = {
    "loaded": ["mobilenet_v1_0.25_128"],
    "dropped": [],
    "unchanged": [MODEL],
    "broken": {},
    "replica": "raspberrypi:1",
}

INFO: dict[str, Any] = {
    "version": "0.1.0",
    "onnxruntime": "1.31.1",
    "pillow": "13.0.0",
    "python": "3.11.7",
    "providers": ["cpu"],
    "cores": 2,
    "cores_reason": "CPU affinity",
    "workers": 2,
    "lone_image_threads": 2,
    "models": [MODEL],
    "cameras": [],
    "runs_on": {MODEL: ["cpu"]},
    "default_model": MODEL,
    "default_reason": f"the only form of {MODEL}",
    "settings": public_settings(Settings.model_construct()),
}

# The detail of each kind of problem, by its type.
DETAILS = {
    "bad-name": (
        "'Gate 1' cannot be the name of a head: up to 100 lower-case letters, digits, `.`, `_` and "
        "`-` can, with a letter or digit first."
    ),
    "bad-query": "resolution: mobilenet_v2_1.0_224 supports 96 to 512 in steps of 32, not 100.",
    "bad-request": "The multipart body ends before its closing boundary.",
    "cannot-train": (
        "The number of labels with examples is 1; at least 2 are needed. Add examples of another "
        "one, such as `none` for other things that the camera sees."
    ),
    "damaged-image": "The JPEG image is cut off before its last pixel.",
    "deadline-exceeded": (
        "The deadline of 5 ms passed: workers started 3 of 32 images within 4 ms."
    ),
    "empty-body": "The body is empty. Send an image.",
    "forbidden": "This needs the admin key.",
    "impossible-budget": (
        "No loaded variant meets max_madds=1000000. Possible: max_madds=56289152 "
        "(mobilenet_v2_1.0_224@96)."
    ),
    "image-too-small": "The image has 1 x 1 pixels; the minimum side is 8.",
    "name-taken": f"The store already has a model {MODEL!r}. Choose another name.",
    "not-an-image": NOT_AN_IMAGE.detail,
    "not-found": "No head 'gate' was taught over HTTP. There are no heads.",
    "nothing-to-undo": "No head gate was served before the last training.",
    "out-of-memory": (
        "Not enough memory to decode this PNG image right now. "
        "Retry later or send fewer images at once."
    ),
    "overloaded": "Queue full: 64 of 64 images waiting.",
    "slow-body": "The body did not arrive within 10000 ms.",
    "stopping": "The service is shutting down; retry on another instance.",
    "storage-full": (
        "The examples have 499990000 of 500000000 bytes (heads_limit_bytes). Delete examples that "
        "you no longer need."
    ),
    "store-unusable": "Cannot read the store. The server's log has the reason.",
    "too-many-bytes": "The body is larger than the limit of 25165824 bytes.",
    "too-many-images": "33 images in one request; the maximum is 32.",
    "too-many-pixels": "The PNG image declares 20000 x 20000 pixels; the maximum is 100000000.",
    "training": "porch is being trained. Train gate after it.",
    "unauthorized": "Send an API key as `Authorization: Bearer KEY` or `X-API-Key: KEY`.",
    "unknown-capture": "No kept image has the id '20261130T120000000000Z'. See GET /captures.",
    "unknown-model": f"Unknown model 'mobilenet_v3'. Loaded models: {MODEL}.",
    "unsupported-format": (f"JPEG XL files are not supported. {SUPPORTED_TEXT}"),
}

"""Make every call of tritonclient that makes sense for a classifier; print what came back.

triton_calls.py http|grpc ADDRESS MODEL OTHER_MODEL ADMIN_KEY IMAGE
"""

import json
import queue
import sys
from pathlib import Path
from typing import Any

import numpy as np


def main(protocol: str, address: str, model: str, other: str, key: str, image: str) -> None:
    if protocol == "http":
        import tritonclient.http as triton

        as_json: dict[str, Any] = {}
    else:
        import tritonclient.grpc as triton

        as_json = {"as_json": True}
    admin = {"x-api-key": key}
    said: dict[str, Any] = {}
    with triton.InferenceServerClient(address, verbose=False) as client:
        said["server"] = client.get_server_metadata(**as_json)
        said["metadata"] = client.get_model_metadata(model, "1", **as_json)
        config = client.get_model_config(model, **as_json)
        said["config"] = config.get("config", config)
        said["ready"] = [client.is_model_ready(name) for name in (model, other, "nothing")]
        said["ready"].append(client.is_model_ready(model, "2"))

        tensor = triton.InferInput("image", [1], "BYTES")
        tensor.set_data_from_numpy(np.array([Path(image).read_bytes()], dtype=np.object_))
        pixels = triton.InferInput("image", [2, 128, 128, 3], "UINT8")
        pixels.set_data_from_numpy(np.full((2, 128, 128, 3), 7, np.uint8))

        whole = client.infer(model, [tensor], request_id="one", timeout=9_000_000)
        said["shapes"] = {
            name: list(whole.as_numpy(name).shape) for name in ("probabilities", "embedding")
        }
        response = whole.get_response()
        said["id"] = response["id"] if protocol == "http" else response.id
        said["sum"] = float(whole.as_numpy("probabilities").sum())
        rows = client.infer(model, [pixels], "1").as_numpy("probabilities")
        said["same_pixels_same_rows"] = bool((rows[0] == rows[1]).all())
        if protocol == "http":
            plain = triton.InferRequestedOutput("probabilities", binary_data=False)
            in_json = client.infer(model, [pixels], outputs=[plain]).as_numpy("probabilities")
            said["json_is_binary"] = bool((in_json == rows).all())
            later = client.async_infer(model, [tensor]).get_result()
            squeezed = client.infer(model, [tensor], response_compression_algorithm="gzip")
            assert squeezed.as_numpy("embedding") is not None
        else:
            got: queue.Queue[Any] = queue.Queue()
            client.async_infer(model, [tensor], lambda result, error: got.put((result, error)))
            later, error = got.get(timeout=180)
            assert error is None
            said["stream"] = stream(client, got, model, tensor)
        said["async_is_sync"] = bool(
            (later.as_numpy("embedding") == whole.as_numpy("embedding")).all()
        )

        said["index"] = states(client, as_json)
        client.load_model(other, headers=admin)
        said["loaded"] = states(client, as_json)
        client.unload_model(other, headers=admin)
        said["unloaded"] = states(client, as_json)
        statistics = client.get_inference_statistics(model, **as_json)["model_stats"][0]
        said["inference_count"] = int(statistics["inference_count"])

        said["errors"] = {}
        for name, call in {
            "model": lambda: client.infer("nothing", [tensor]),
            "output": lambda: client.infer(
                model, [tensor], outputs=[triton.InferRequestedOutput("logits")]
            ),
            "sequence": lambda: client.infer(model, [tensor], sequence_id=5),
            "key": lambda: client.load_model(other, headers={"x-api-key": "wrong"}),
            "absent": lambda: client.load_model("nothing", headers=admin),
            "override": lambda: client.load_model(other, headers=admin, config="{}"),
            "last": lambda: client.unload_model(model, headers=admin),
        }.items():
            try:
                call()
            except triton.InferenceServerException as error:
                said["errors"][name] = [str(error.status()), error.message()]
    print(json.dumps(said))


def stream(client: Any, got: "queue.Queue[Any]", model: str, tensor: Any) -> list[str]:
    """Three requests on one stream, the second one wrong."""
    client.start_stream(lambda result, error: got.put((result, error)))
    for name in (model, "nothing", model):
        client.async_stream_infer(name, [tensor])
    found = [got.get(timeout=180) for _ in range(3)]
    client.stop_stream()
    return [error.message() if error else "answered" for _, error in found]


def states(client: Any, as_json: dict[str, Any]) -> dict[str, str]:
    index = client.get_model_repository_index(**as_json)
    models = index["models"] if as_json else index
    return {entry["name"]: entry["state"] for entry in models}


main(*sys.argv[1:])

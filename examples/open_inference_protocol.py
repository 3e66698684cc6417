"""Classify one image over the Open Inference Protocol (KServe V2), without a client library.

    pip install httpx
    python examples/open_inference_protocol.py cat.jpg mobilenet_v2_1.0_224

URL names another service than http://127.0.0.1:8000.
"""

import base64
import os
import sys
from pathlib import Path

import httpx

URL = os.environ.get("URL", "http://127.0.0.1:8000")


def main(path: Path, model: str) -> None:
    encoded = base64.b64encode(path.read_bytes()).decode("ascii")
    request = {
        "inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [encoded]}],
        "outputs": [{"name": "probabilities", "parameters": {"classification": 3}}],
    }
    response = httpx.post(f"{URL}/v2/models/{model}/infer", json=request)
    answer = response.json()
    if response.is_error:
        sys.exit(answer["error"])
    for ranked in answer["outputs"][0]["data"]:  # "value:index:label"
        probability, _, label = ranked.split(":", 2)
        print(f"{float(probability):6.1%}  {label}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

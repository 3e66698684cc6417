"""Requests of the Open Inference Protocol over plain HTTP, and reading their answers."""

import json
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from app.oip.rest_codec import LENGTH_HEADER
from tests.app.sample_images import as_base64, encode, noise
from tests.conftest import SMALL_V1

KEY = "the-admin"
PHOTO = encode(noise())
PIXELS: NDArray[np.uint8] = np.asarray(noise(128, 128, seed=3))[None]


def infer(
    client: httpx.Client, asked: dict[str, Any], *raws: bytes, model: str = SMALL_V1
) -> httpx.Response:
    """Ask with JSON, and with raw tensors behind it if there are any."""
    head = json.dumps(asked).encode()
    headers = {LENGTH_HEADER: str(len(head))} if raws else {}
    body = b"".join((head, *raws))
    return client.post(f"/v2/models/{model}/infer", content=body, headers=headers)


def files(*images: bytes) -> dict[str, Any]:
    texts = [as_base64(image) for image in images]
    return {"name": "image", "shape": [len(texts)], "datatype": "BYTES", "data": texts}


def pixels(array: NDArray[np.uint8] = PIXELS, **changed: Any) -> dict[str, Any]:
    tensor = {"name": "image", "shape": list(array.shape), "datatype": "UINT8"}
    return {**tensor, "parameters": {"binary_data_size": array.nbytes}, **changed}


def outputs(response: httpx.Response) -> dict[str, NDArray[Any]]:
    """The tensors of an answer by name, as a client would read them."""
    assert response.status_code == 200, response.text
    end = int(response.headers.get(LENGTH_HEADER, len(response.content)))
    rest = response.content[end:]
    found = {}
    for output in json.loads(response.content[:end])["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        if size is None:
            found[output["name"]] = np.array(output["data"]).reshape(output["shape"])
            continue
        raw, rest = rest[:size], rest[size:]
        found[output["name"]] = np.frombuffer(raw, "<f4").reshape(output["shape"])
    assert not rest
    return found


def error_of(response: httpx.Response, status: int) -> str:
    """What an error says; it has exactly the protocol's shape."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    [(key, text)] = response.json().items()
    assert key == "error"
    return str(text)


RIGHT = files(PHOTO)

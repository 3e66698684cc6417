"""Asking POST /predict, and reading what it answers."""

import json
from typing import Any

import httpx

from tests.app.sample_images import as_base64, encode, noise

PHOTO = encode(noise())
JPEG = {"Content-Type": "image/jpeg"}
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=edge"}
FILE = b'Content-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'


def predict(
    client: httpx.Client, body: bytes, headers: dict[str, str] = JPEG, **query: Any
) -> httpx.Response:
    return client.post("/predict", content=body, headers=headers, params=query)


def answered(response: httpx.Response) -> list[dict[str, Any]]:
    """The results of a response that has to be a success."""
    assert response.status_code == 200, response.text
    results: list[dict[str, Any]] = response.json()["results"]
    return results


def classes(result: dict[str, Any]) -> list[int]:
    return [prediction["class_id"] for prediction in result["predictions"]]


def form(*parts: bytes, closed: bool = True) -> bytes:
    """A multipart body of parts that bring their own headers."""
    body = b"".join(b"--edge\r\n" + part + b"\r\n" for part in parts)
    return body + b"--edge--\r\n" * closed


def json_of(*images: bytes) -> bytes:
    return json.dumps({"images": [as_base64(image) for image in images]}).encode()

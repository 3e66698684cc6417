"""Request bodies: one image raw, as a multipart form, or as base64 in JSON."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PATH = "/predict"  # of the service under test
BOUNDARY = "----loadtest7f3c0a"
IMAGE = "@IMAGE@"  # placeholder for the base64 text in a JSON template


@dataclass(frozen=True, slots=True)
class Body:
    content_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class BodyFile:
    """A request body on disk, for the load generators to read."""

    form: str
    path: Path
    content_type: str


def raw(image: bytes) -> Body:
    return Body("image/jpeg", image)


def multipart(*images: bytes, field: str = "image") -> Body:
    """Make a form with one file per image."""
    head = (
        f"--{BOUNDARY}\r\n"
        f'Content-Disposition: form-data; name="{field}"; filename="photo.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    ).encode()
    parts = [head + image + b"\r\n" for image in images]
    data = b"".join((*parts, f"--{BOUNDARY}--\r\n".encode()))
    return Body(f"multipart/form-data; boundary={BOUNDARY}", data)


def json_from_template(image: bytes, template: str) -> Body:
    """Fill `@IMAGE@` in a JSON template with the image in base64."""
    text = template.replace(IMAGE, base64.b64encode(image).decode())
    return Body("application/json", text.encode())


def _json(image: bytes) -> Body:
    return json_from_template(image, json.dumps({"images": [IMAGE]}))


FORMS: dict[str, Callable[[bytes], Body]] = {"raw": raw, "multipart": multipart, "json": _json}


def write_body(photo: Path, folder: Path, form: str = "raw") -> BodyFile:
    body = FORMS[form](photo.read_bytes())
    path = folder / f"{photo.stem}.{form}"
    path.write_bytes(body.data)
    return BodyFile(form, path, body.content_type)

"""Request bodies: one image raw, as a form, or as base64 in JSON."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

BOUNDARY = "----loadtest7f3c0a"
IMAGE = "@IMAGE@"  # stands for the base64 text in a JSON template


@dataclass(frozen=True, slots=True)
class Body:
    """A request body and its Content-Type."""

    content_type: str
    data: bytes

    def write(self, path: Path) -> Path:
        path.write_bytes(self.data)
        return path


def raw(image: bytes) -> Body:
    return Body("image/jpeg", image)


def multipart(image: bytes, field: str = "image") -> Body:
    """A form with one file."""
    head = (
        f"--{BOUNDARY}\r\n"
        f'Content-Disposition: form-data; name="{field}"; filename="photo.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    data = head.encode() + image + f"\r\n--{BOUNDARY}--\r\n".encode()
    return Body(f"multipart/form-data; boundary={BOUNDARY}", data)


def json_text(image: bytes, template: str) -> Body:
    """JSON from a template in which `@IMAGE@` is replaced by the image in base64."""
    text = template.replace(IMAGE, base64.b64encode(image).decode())
    return Body("application/json", text.encode())


def _own_json(image: bytes) -> Body:
    return json_text(image, json.dumps({"images": [IMAGE]}))


FORMS: dict[str, Callable[[bytes], Body]] = {
    "raw": raw,
    "multipart": multipart,
    "json": _own_json,
}

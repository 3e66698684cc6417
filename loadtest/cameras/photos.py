"""What the cameras of a load test show."""

import io
import json
from importlib.resources import files

from PIL import Image, ImageOps

from loadtest.host.server import Server


def two_photos(width: int = 640, height: int = 480) -> list[bytes]:
    """A cat and a cup of coffee, as cameras send them."""
    found = []
    for name in ("chelsea", "coffee"):
        buffer = io.BytesIO()
        with Image.open(str(files("skimage.data") / f"{name}.png")) as photo:
            ImageOps.fit(photo.convert("RGB"), (width, height)).save(buffer, "JPEG", quality=85)
        found.append(buffer.getvalue())
    return found


def by_label(server: Server, photos: list[bytes]) -> dict[str, bytes]:
    """The photos by what the service says of them."""
    found = {}
    for data in photos:
        answer = json.loads(server.post("/predict", "image/jpeg", data))
        found[answer["results"][0]["predictions"][0]["label"]] = data
    return found

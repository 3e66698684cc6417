"""The JPEG photos that every benchmark sends: a cat at three camera resolutions.

A child process writes the files, because pages that the benchmark's own process maps are shared
with the server that it measures and would lower that server's PSS.
"""

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

from loadtest.host.model_store import SHARED

PHOTOS = SHARED / "photos"
SIZES = {"720p": (1280, 720), "1080p": (1920, 1080), "500x375": (500, 375)}
QUALITY = 85


def size_text(name: str) -> str:
    """Return the size of a photo as text, such as "1280x720"."""
    return "x".join(map(str, SIZES[name]))


def prepare_photos(folder: Path) -> dict[str, Path]:
    """Write `NAME.jpg` for every size, and return the photos by name."""
    command = [sys.executable, "-m", "loadtest.load.photos", str(folder)]
    subprocess.run(command, check=True)
    return {name: folder / f"{name}.jpg" for name in SIZES}


def write_photos(folder: Path) -> None:
    """Write the files of all sizes: camera photos from `PHOTOS`, otherwise scaled ones.

    A small image scaled up is blurred, so it has fewer bytes and decodes faster than what a camera
    sends.
    """
    from PIL import Image, ImageOps

    folder.mkdir(parents=True, exist_ok=True)
    for name, size in SIZES.items():
        file = folder / f"{name}.jpg"
        camera_photo = PHOTOS / f"cat_{name}.jpg"
        if camera_photo.is_file():
            file.write_bytes(camera_photo.read_bytes())
            continue
        largest = PHOTOS / "cat_1080p.jpg"
        small_cat = Path(str(files("skimage.data") / "chelsea.png"))
        image = Image.open(largest if largest.is_file() else small_cat)
        fitted = ImageOps.fit(image, size, Image.Resampling.BICUBIC)
        fitted.save(file, quality=QUALITY, subsampling="4:2:0")


if __name__ == "__main__":
    write_photos(Path(sys.argv[1]))

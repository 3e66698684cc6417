"""The JPEG files that everything is measured with: a cat at three sizes of a camera.

The files are written by a process of its own, because what the benchmark's own process maps is
shared with the server that it measures, and would make that look smaller than it is.
"""

import subprocess
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

SHARED = Path(__file__).resolve().parents[3] / "shared" / "photos"
SIZES = {"720p": (1280, 720), "1080p": (1920, 1080), "500x375": (500, 375)}
QUALITY = 85


@dataclass(frozen=True, slots=True)
class Photo:
    """A JPEG file of a known size."""

    name: str
    path: Path

    def __str__(self) -> str:
        return "x".join(map(str, SIZES[self.name]))


def prepare_photos(folder: Path) -> list[Photo]:
    """Write `NAME.jpg` for every size, and name them."""
    command = [sys.executable, "-m", "loadtest.load.photos", str(folder)]
    subprocess.run(command, check=True)
    return [Photo(name, folder / f"{name}.jpg") for name in SIZES]


def write_photos(folder: Path, source: Path = SHARED) -> None:
    """Write the files of all sizes: a camera's where `source` has them, else one that is scaled.

    Scaled up from a small picture they are blurred, so fewer bytes and cheaper to decode than what
    a camera sends.
    """
    from PIL import Image, ImageOps

    folder.mkdir(parents=True, exist_ok=True)
    for name, size in SIZES.items():
        file = folder / f"{name}.jpg"
        ready = source / f"cat_{name}.jpg"
        if ready.is_file():
            file.write_bytes(ready.read_bytes())
            continue
        camera = source / "cat_1080p.jpg"
        picture = Image.open(camera) if camera.is_file() else _small_cat()
        fitted = ImageOps.fit(picture, size, Image.Resampling.BICUBIC)
        fitted.save(file, quality=QUALITY, subsampling="4:2:0")


def _small_cat() -> "Image":
    from PIL.Image import open as open_image

    return open_image(str(files("skimage.data") / "chelsea.png"))


if __name__ == "__main__":
    write_photos(Path(sys.argv[1]))

"""The photos and crops on which an exported model is held against independent references.

Cut and thinned out with NumPy slices only: no resampling, whose result may differ from one version
of Pillow to the next. Nothing here is stored in git but the SHA-256 of each input.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PACKAGED = ("chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png")
# where a crop lies: what share of the free rows and columns is before it, in halves
PLACES = {
    "centre": (1, 1),
    "top_left": (0, 0),
    "top_right": (0, 2),
    "bottom_left": (2, 0),
    "bottom_right": (2, 2),
}


@dataclass(frozen=True, slots=True)
class Input:
    """What a network sees: pixels uint8 [resolution, resolution, 3], RGB."""

    name: str
    pixels: NDArray[np.uint8]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.pixels.tobytes()).hexdigest()


def packaged_inputs(resolution: int = 224) -> list[Input]:
    """Twenty crops of the four photos that scikit-image ships: on every machine the same."""
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("scikit-image is not installed; its photos are needed")
    folder = Path(spec.origin).parent / "data"
    return list(_crops([folder / name for name in PACKAGED], resolution, PLACES))


def photo_inputs(folder: Path, resolution: int = 224) -> list[Input]:
    """The centre of each photo in `folder` and in its `labelled/`, sorted by name."""
    paths = sorted(
        path
        for where in (folder, folder / "labelled")
        for path in where.iterdir()
        if path.suffix in {".bmp", ".jpg", ".png"}
    )
    return list(_crops(paths, resolution, ["centre"]))


def square(pixels: NDArray[np.uint8], resolution: int, place: str) -> NDArray[np.uint8]:
    """Every n-th pixel of the largest square at `place` that thins out to `resolution` pixels.

    pixels are [height, width, 3], neither side below `resolution`.
    """
    height, width = pixels.shape[:2]
    step = min(height, width) // resolution
    if not step:
        raise ValueError(f"{width}x{height} pixels are too few for {resolution}")
    side = step * resolution
    down, right = PLACES[place]
    top, left = (height - side) * down // 2, (width - side) * right // 2
    cut = pixels[top : top + side : step, left : left + side : step]
    return np.ascontiguousarray(cut)


def _crops(paths: list[Path], resolution: int, places: Iterable[str]) -> Iterator[Input]:
    for path in paths:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        for place in places:
            yield Input(f"{path.stem}/{place}", square(pixels, resolution, place))

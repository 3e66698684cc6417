"""Photos in folders as what a model sees of them, for calibration and comparison."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice, zip_longest
from math import ceil
from pathlib import Path

import numpy as np

from app.arrays import Uint8Array
from app.card.card import ModelCard, Preprocessing
from app.errors import ImageError
from app.images.decode import ImageLimits, load_image

# The same that the client takes, which is a package of its own; a test holds them together.
SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff")
)
# How much larger than the model's square a photo is made before squares are cut from it.
ZOOMS = (1.15, 1.4)
# What share of the free rows and columns lies before a cut, in halves.
PLACES = ((1, 1), (0, 0), (0, 2), (2, 0), (2, 2))


def photo_files(folder: Path) -> list[Path]:
    """Every image file in a folder and below, by name; hidden ones, as macOS leaves, do not count.

    Raises:
        ValueError: it is not a folder or holds none.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )
    if not found:
        raise ValueError(f"{folder} holds no image ({', '.join(sorted(SUFFIXES))})")
    return found


def views(data: bytes, card: ModelCard, limits: ImageLimits) -> Iterator[Uint8Array]:
    """What the model sees of one photo, then other squares of it, each [1, side, side, 3].

    First comes the model's own preprocessing, then its mirror image, then corners and centre at
    two scales with their mirror images: 22 in all.

    Raises:
        ImageError: the bytes are not an image.
    """
    side = card.resolution
    yield from _and_mirrored(load_image(data, side, card.preprocessing, limits))
    whole = Preprocessing(
        resize="shortest_edge", crop_fraction=1, interpolation=card.preprocessing.interpolation
    )
    for zoom in ZOOMS:
        larger = round(side * zoom)
        square = load_image(data, larger, whole, limits)
        free = larger - side
        for down, right in PLACES:
            top, left = free * down // 2, free * right // 2
            yield from _and_mirrored(square[top : top + side, left : left + side])


def collect_views(
    files: Sequence[Path],
    card: ModelCard,
    limits: ImageLimits,
    count: int,
    done: Callable[[], None] = lambda: None,
) -> list[Uint8Array]:
    """`count` views, or as many as there are: every photo's first one before any second one.

    Of more photos than that, those taken are spread over all: names often go by class or by day.
    `done` is called after each photo that was read, which are `count` at most.

    Raises:
        ValueError: a file is damaged; the text names it.
    """
    taken = min(count, len(files))
    chosen = [files[at * len(files) // taken] for at in range(taken)]
    of_photos = []
    for path in chosen:
        # of each photo at once, so that its bytes need not be kept for a second round
        of_photos.append(_first_views(path, card, limits, ceil(count / taken)))
        done()
    every = (view for views in zip_longest(*of_photos) for view in views if view is not None)
    return list(islice(every, count))


def _first_views(path: Path, card: ModelCard, limits: ImageLimits, count: int) -> list[Uint8Array]:
    """Views of a file, with its name in what may be wrong with it."""
    try:
        return list(islice(views(path.read_bytes(), card, limits), count))
    except ImageError as error:
        raise ValueError(f"{path}: {error.detail}") from error


def _and_mirrored(pixels: Uint8Array) -> Iterator[Uint8Array]:
    yield np.ascontiguousarray(pixels)[np.newaxis]
    yield np.ascontiguousarray(pixels[:, ::-1])[np.newaxis]

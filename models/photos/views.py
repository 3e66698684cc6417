"""Photos in folders, and crops of them at a model's resolution for calibration and comparison."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice, zip_longest
from math import ceil
from pathlib import Path

import numpy as np

from app.arrays import Uint8Array
from app.card.card import ModelCard, Preprocessing
from app.commands.image_files import SUFFIXES
from app.errors import ImageError
from app.images.decode import load_image
from app.images.limits import ImageLimits

# Size of the resized photo relative to the model's resolution before crops are cut from it.
ZOOMS = (1.15, 1.4)
# Position of a crop in the free rows and columns: 0 is the start, 1 the centre, 2 the end.
CROP_POSITIONS = ((1, 1), (0, 0), (0, 2), (2, 0), (2, 2))


def photo_files(folder: Path) -> list[Path]:
    """Every image file in a folder and its subfolders by name, except hidden files.

    Raises:
        ValueError: it is not a folder, or it has no image.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder.")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )
    if not found:
        raise ValueError(f"{folder} contains no image ({', '.join(sorted(SUFFIXES))}).")
    return found


def views(data: bytes, card: ModelCard, limits: ImageLimits) -> Iterator[Uint8Array]:
    """Crops of one photo as a model sees them, each [1, side, side, 3], 22 in all.

    The model's own preprocessing comes first, then its mirror image, then corners and centre at two
    scales with their mirror images.

    Raises:
        ImageError: the bytes are not an image.
    """
    side = card.resolution
    yield from _with_mirror_image(load_image(data, side, card.preprocessing, limits))
    whole = Preprocessing(
        resize="shortest_edge", crop_fraction=1, interpolation=card.preprocessing.interpolation
    )
    for zoom in ZOOMS:
        larger = round(side * zoom)
        square = load_image(data, larger, whole, limits)
        free = larger - side
        for down, right in CROP_POSITIONS:
            top, left = free * down // 2, free * right // 2
            yield from _with_mirror_image(square[top : top + side, left : left + side])


def collect_views(
    files: Sequence[Path],
    card: ModelCard,
    limits: ImageLimits,
    count: int,
    on_photo: Callable[[], None] = lambda: None,
) -> list[Uint8Array]:
    """Up to `count` views: the first view of every photo comes before any second one.

    With more photos than `count`, the selected ones are spread evenly over the sorted names, which
    often group photos by class or by day. `on_photo` is called after each of them.

    Raises:
        ValueError: a file is damaged; the message names it.
    """
    selected, by_photo = evenly_spread(files, count), []
    for path in selected:
        # All views of a photo at once, so that its bytes can be dropped.
        by_photo.append(_first_views(path, card, limits, ceil(count / len(selected))))
        on_photo()
    ordered = (view for views in zip_longest(*by_photo) for view in views if view is not None)
    return list(islice(ordered, count))


def evenly_spread(files: Sequence[Path], count: int) -> list[Path]:
    """At most `count` of the files, from first to last."""
    chosen = min(count, len(files))
    return [files[at * len(files) // chosen] for at in range(chosen)]


def _first_views(path: Path, card: ModelCard, limits: ImageLimits, count: int) -> list[Uint8Array]:
    try:
        return list(islice(views(path.read_bytes(), card, limits), count))
    except ImageError as error:
        raise ValueError(f"{path}: {error.detail}") from error


def _with_mirror_image(pixels: Uint8Array) -> Iterator[Uint8Array]:
    yield np.ascontiguousarray(pixels)[np.newaxis]
    yield np.ascontiguousarray(pixels[:, ::-1])[np.newaxis]

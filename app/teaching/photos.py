"""A folder of labelled photos, and their embeddings."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Self

import numpy as np

from app.arrays import Float32Array, Uint8Array
from app.card.card import Preprocessing
from app.errors import RequestError
from app.images.decode import load_image
from app.images.helper_process import HelperLimits, HelperProcess
from app.images.limits import BeyondBounds, ImageLimits
from app.inference.helper_decode import deferred
from app.model.model import Model
from app.settings import Settings
from app.system.cores import usable_cores
from app.teaching.embedded_photos import (
    MAX_CLASSES,
    EmbeddedPhotos,
    Photo,
    Skipped,
    TeachingError,
    check_label,
    views_by,
)
from app.teaching.near_duplicates import unit
from app.teaching.views import photo_views


def labelled_photos(folder: Path) -> list[Photo]:
    """The files in each subfolder, whose name is their label; hidden files are ignored.

    Raises:
        TeachingError: there are not two subfolders with files, or a name is not a usable label.
    """
    if not folder.is_dir():
        raise TeachingError(f"{folder} is not a folder.")
    classes = sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    photos = [
        Photo(path, check_label(name.name))
        for name in classes
        for path in sorted(name.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    ]
    taught = {photo.label for photo in photos}
    if len(taught) < 2:
        raise TeachingError(
            f"{folder} has {len(taught)} subfolders with photos; at least 2 are needed, one for "
            "each class. A folder `none` with photos of other things can be one of them."
        )
    if len(taught) > MAX_CLASSES:
        raise TeachingError(f"{folder} has {len(taught)} classes; the maximum is {MAX_CLASSES}.")
    return photos


class PhotoReader:
    """Decodes photos like the service: what its structure does not bound, in a helper process."""

    def __init__(self, limits: ImageLimits, helper: HelperProcess) -> None:
        self._limits, self._helper, self._lock = limits, helper, Lock()

    @classmethod
    @contextmanager
    def open(cls, settings: Settings) -> Iterator[Self]:
        """Open a reader with the limits of a service, and end its helper process afterwards."""
        limits = ImageLimits.from_settings(settings)
        helper = HelperProcess(
            limits,
            HelperLimits(
                settings.helper_cpu_s, settings.helper_memory_bytes, settings.max_body_bytes
            ),
        )
        try:
            yield cls(limits, helper)
        finally:
            helper.stop()

    def decode(self, data: bytes, side: int, rule: Preprocessing) -> Uint8Array:
        """Decode a photo to RGB pixels [side, side, 3].

        Raises:
            RequestError: it cannot be decoded within the limits.
        """
        try:
            return load_image(data, side, rule, self._limits, bounded=True)
        except BeyondBounds:
            job = deferred(self._helper, data, side, rule, reduced_decode=True)
        with self._lock:
            pixels: Uint8Array = job.prepare(lambda: False).pixels
            return pixels


def embed(
    photos: list[Photo],
    models: Sequence[Model],
    reader: PhotoReader,
    views: int,
    max_bytes: int,
    on_photo: Callable[[], None] = lambda: None,
) -> list[EmbeddedPhotos]:
    """Embed `views` views of each photo by each model, on all usable cores.

    The models see the same pixels, as the forms of one model do, but `views_by` says how many
    views. What cannot be read is skipped.

    Raises:
        TeachingError: fewer than two classes are left.
    """

    counts = [views_by(model.card.precision, len(models), views) for model in models]

    def embed_one(photo: Photo) -> list[Float32Array] | Skipped:
        try:
            if photo.path.stat().st_size > max_bytes:
                return Skipped(photo.path, f"It has more than {max_bytes} bytes.")
            found = photo_views(photo.path.read_bytes(), models[0].card, reader.decode, views)
            images = [pixels[np.newaxis] for pixels in islice(found, views)]
        except RequestError as error:
            return Skipped(photo.path, error.detail)
        except OSError as error:
            return Skipped(photo.path, error.strerror or str(error))
        finally:
            on_photo()
        return [
            unit(np.concatenate([model.embedding(one) for one in images[:count]]))
            for model, count in zip(models, counts, strict=True)
        ]

    with ThreadPoolExecutor(usable_cores().count) as workers:
        results = list(workers.map(embed_one, photos))
    skipped = [result for result in results if isinstance(result, Skipped)]
    kept = [
        (photo, result)
        for photo, result in zip(photos, results, strict=True)
        if not isinstance(result, Skipped)
    ]
    labels = tuple(sorted({photo.label for photo, _ in kept}))
    if len(labels) < 2:
        first = f" {skipped[0].path}: {skipped[0].reason}" if skipped else ""
        raise TeachingError(
            f"Photos of {len(labels)} classes could be read; at least 2 are needed.{first}"
        )
    taught = [photo for photo, _ in kept]
    return [
        EmbeddedPhotos(taught, labels, np.stack([units[at] for _, units in kept]), skipped)
        for at in range(len(models))
    ]

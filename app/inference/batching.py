"""Batches of images from several requests, for accelerators.

Off on a CPU, where a batch takes at least as long per image as single runs. The thread with the
first image of a batch waits shortly for others, runs all of them, and hands each thread its row.
"""

import logging
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from app.arrays import Float32Array, Uint8Array

log = logging.getLogger(__name__)


# Runs uint8 images [N, H, W, 3]; float32 outputs [N, width].
Run = Callable[[Uint8Array], Float32Array]


@dataclass(slots=True)
class _Batch:
    images: list[Uint8Array] = field(default_factory=list)
    full: threading.Event = field(default_factory=threading.Event)
    rows: Future[Float32Array] = field(default_factory=Future)


class Batcher:
    """Collects images that can run together, up to `max_images` or for `window_ms`."""

    def __init__(self, max_images: int, window_ms: float) -> None:
        self.max_images = max_images
        self.window_ms = window_ms
        self._lock = threading.Lock()
        self._open: dict[Hashable, _Batch] = {}

    def infer(self, group: Hashable, image: Uint8Array, run: Run) -> Float32Array:
        """The outputs [width] of one image [H, W, 3]; images of the same `group` may run together.

        Blocks the thread until the batch has run. If `run` raises, so do the calls of all its
        images.
        """
        batch, index = self._join(group, image)
        if index == 0:
            batch.full.wait(self.window_ms / 1000)
            self._run(group, batch, run)
        return batch.rows.result()[index]  # type: ignore[no-any-return]  # NumPy's Any

    def _join(self, group: Hashable, image: Uint8Array) -> tuple[_Batch, int]:
        """Add an image to the open batch of its group; returns its index there."""
        with self._lock:
            batch = self._open.setdefault(group, _Batch())
            batch.images.append(image)
            if len(batch.images) >= self.max_images:
                del self._open[group]
                batch.full.set()
            return batch, len(batch.images) - 1

    def _run(self, group: Hashable, batch: _Batch, run: Run) -> None:
        """Close the batch to others and run it."""
        with self._lock:
            if self._open.get(group) is batch:
                del self._open[group]
        try:
            batch.rows.set_result(run(np.stack(batch.images)))
        except Exception as error:
            batch.rows.set_exception(error)


def open_batcher(max_images: int, window_ms: float, workers: int) -> Batcher | None:
    """A batcher, or None if batches would have one image.

    Each image of a batch occupies a worker. A batch size above the number of workers would never be
    reached, and every image would wait for the whole window.
    """
    size = min(max_images, workers)
    if size < max_images:
        log.warning(
            "batch_max is %s, but each image needs one of %s workers; using %s.",
            max_images,
            workers,
            size,
        )
    return Batcher(size, window_ms) if size > 1 else None

"""Running images of several requests in one go, for accelerators.

On a CPU this is off: a batch there takes at least as long an image as single runs. A thread that
brings the first image of a batch waits a moment for others, runs all of them, and hands each its
own row. What is counted are images, whichever requests they belong to.
"""

import logging
import threading
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)
Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


class Run(Protocol):
    """Runs uint8 images [N, H, W, 3] to float32 [N, classes]."""

    def __call__(self, images: Pixels) -> Floats: ...


@dataclass(slots=True)
class _Batch:
    images: list[Pixels] = field(default_factory=list)
    full: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)
    rows: Floats | None = None
    error: Exception | None = None


class Batcher:
    """Gathers images that can run together until there are `max_images` or `window_ms` is over."""

    def __init__(self, max_images: int, window_ms: float) -> None:
        self.max_images = max_images
        self.window_ms = window_ms
        self._lock = threading.Lock()
        self._open: dict[Hashable, _Batch] = {}

    def infer(self, group: Hashable, image: Pixels, run: Run) -> Floats:
        """The row [classes] of one image [H, W, 3]; images of one `group` may run together.

        Blocks its thread until the batch has run; what `run` raises, every image of it gets.
        """
        batch, index = self._join(group, image)
        if index == 0:
            batch.full.wait(self.window_ms / 1000)
            self._run(group, batch, run)
        else:
            batch.done.wait()
        if batch.error is not None:
            raise batch.error
        assert batch.rows is not None  # noqa: S101  done without an error
        return batch.rows[index]  # type: ignore[no-any-return]  # NumPy's Any

    def _join(self, group: Hashable, image: Pixels) -> tuple[_Batch, int]:
        """Add an image to the open batch of its group; its place in it."""
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
            batch.rows = run(np.stack(batch.images))
        except Exception as error:
            batch.error = error
        finally:
            batch.done.set()


def open_batcher(max_images: int, window_ms: float, workers: int) -> Batcher | None:
    """What gathers batches, if there are any to gather.

    Each image of a batch holds a worker, so a larger batch than there are workers would never be
    full: every image would wait for the end of the window.
    """
    most = min(max_images, workers)
    if most < max_images:
        log.warning("batch_max is %s, but %s workers bring one image each", max_images, workers)
    return Batcher(most, window_ms) if most > 1 else None

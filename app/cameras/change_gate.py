"""Whether a frame differs from what was classified last, on a small grey image of the zone.

The image is compared with a reference in cells, each the mean of many pixels, which removes most of
a sensor's noise. Light that changes everywhere or in bands (mains flicker under a rolling shutter,
automatic exposure) is subtracted up to `MAX_LIGHT` levels. The reference follows slowly, so that
the sun may move.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from app.arrays import Float32Array, Uint8Array, median
from app.cameras.frames.zone import Rectangle, bounds

CELLS = 48  # along the longer side of the zone
MIN_LEVELS = 7.0  # a difference below it is none, whatever the noise
MAX_LEVELS = 11.0  # one above it is always one
NOISE_FACTOR = 4.5  # of the usual difference of a cell
MAX_LIGHT = 8.0
MAX_BAND = 5.0
CHANGED_SHARE = 0.012  # of the cells; an object of 5 % of the zone has at least two thirds inside
FOLLOW_S = 30.0  # time constant of the reference
MIN_NOISE_SAMPLES = 8


class ChangeGate:
    """The reference of one camera; `differs` asks, `keep` and `follow` answer what became of it."""

    def __init__(self, zone: Sequence[Rectangle] = ()) -> None:
        """Compare only cells in the zone, if it has several rectangles."""
        self._zone = zone if len(zone) > 1 else ()
        self._reference: Float32Array | None = None
        self._noise = 0.0
        self._seen = 0

    def differs(self, grey: Uint8Array | Float32Array) -> bool:
        """Whether a grey image [rows, columns] differs from the reference."""
        reference = self._reference
        if reference is None or reference.shape != grey.shape:
            return True
        signed = self._difference(grey, reference)
        noise = max(self._noise, usual_level(signed))
        if noise > MAX_LEVELS / NOISE_FACTOR:  # means of 2 x 2 cells have half the noise
            signed, noise = pooled(signed), noise / 2
        difference = self._counted(np.abs(signed))
        levels = min(max(MIN_LEVELS, NOISE_FACTOR * noise), MAX_LEVELS)
        return float((difference > levels).mean()) > CHANGED_SHARE

    def keep(self, grey: Uint8Array | Float32Array) -> None:
        """Take a frame that was classified as the new reference."""
        self._reference = grey.astype(np.float32)
        self._seen = 1

    def follow(self, grey: Uint8Array | Float32Array, elapsed_s: float) -> None:
        """Let the reference follow a frame that did not differ, `elapsed_s` after the last."""
        reference = self._reference
        assert reference is not None  # noqa: S101  nothing differs from it
        usual = usual_level(self._difference(grey, reference))
        self._noise += (usual - self._noise) / min(self._seen, MIN_NOISE_SAMPLES)
        # The mean of the first frames, so that the noise of a single one does not stay.
        share = max(1 / (self._seen + 1), min(1.0, elapsed_s / FOLLOW_S))
        reference += np.float32(share) * (grey - reference)
        self._seen += 1

    def _difference(self, grey: Uint8Array | Float32Array, reference: Float32Array) -> Float32Array:
        """Differences of the cells, without light that changed everywhere or in rows."""
        difference = grey - reference
        difference -= np.clip(median(difference), -MAX_LIGHT, MAX_LIGHT)
        difference -= np.clip(median(difference, 1), -MAX_BAND, MAX_BAND)
        return difference

    def _counted(self, difference: Float32Array) -> Float32Array:
        return difference[self._mask(difference.shape)] if self._zone else difference

    def _mask(self, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
        """Which cells [rows, columns] lie in a rectangle of the zone with their centre."""
        around = bounds(self._zone)
        rows = around.top + around.height * (np.arange(shape[0])[:, None] + 0.5) / shape[0]
        columns = around.left + around.width * (np.arange(shape[1])[None] + 0.5) / shape[1]
        found = np.zeros(shape, np.bool_)
        for one in self._zone:
            found |= (
                (rows >= one.top) & (rows < one.bottom)
                & (columns >= one.left) & (columns < one.right)
            )  # fmt: skip
        return found


def usual_level(difference: Float32Array) -> float:
    """The standard deviation of most cells, also if few of them differ by much.

    An object in less than a tenth of the cells does not count.
    """
    levels = np.sort(np.abs(difference), axis=None)
    return float(max(levels[len(levels) // 2] / 0.6745, levels[len(levels) * 9 // 10] / 1.645))


def pooled(cells: Float32Array) -> Float32Array:
    """Means of 2 x 2 cells [rows // 2, columns // 2]."""
    rows, columns = cells.shape[0] // 2 * 2, cells.shape[1] // 2 * 2
    if not rows or not columns:
        return cells
    even = cells[:rows, :columns]
    found: Float32Array = even.reshape(rows // 2, 2, columns // 2, 2).mean((1, 3))
    return found

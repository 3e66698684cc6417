"""Decoding and inference times on this device: measured once, then updated by served requests.

Times are medians and other quantiles of the newest samples, so that one slow run changes nothing.
Decoding depends on the image and not on the model, so it has its own table, by the size of the
encoded image (in powers of two) and the resolution that it is decoded for.
"""

import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from app.card.variant import Key, Variant

Kind = TypeVar("Kind", bound=Hashable)

WINDOW = 128  # newest samples to use
MIN_SAMPLES = 16  # fewer are ignored
# Older samples predict less than an idle measurement times the current slowdown.
MAX_AGE_S = 30.0
SAMPLES_PER_UPDATE = 8  # new samples after which quantiles are computed again

# Until something is measured: a core of a small board with 20 G multiply-adds per second, and its
# decoding of a JPEG of 64 KiB.
GUESS_MS_PER_MADD = 50e-9
GUESS_DECODE_MS = 2.0
GUESS_BITS = 17


class Window:
    """Quantiles of the newest samples. Any thread may add, one thread reads; no locks."""

    __slots__ = ("_cached", "_count", "_counted", "_samples", "last_s")

    def __init__(self) -> None:
        self._samples: deque[float] = deque(maxlen=WINDOW)
        self._count = 0
        self._counted = 0
        self._cached: dict[float, float] = {}
        self.last_s = 0.0  # time of the newest sample

    def __len__(self) -> int:
        return len(self._samples)

    def add(self, value: float, now_s: float) -> None:
        self._samples.append(value)
        self._count += 1
        self.last_s = now_s

    def is_current(self, now_s: float) -> bool:
        """Whether there are enough samples and the newest is recent."""
        return len(self._samples) >= MIN_SAMPLES and now_s - self.last_s < MAX_AGE_S

    def quantile(self, share: float) -> float:
        """The value below which this share of the samples is; needs at least one sample."""
        if self._count - self._counted >= SAMPLES_PER_UPDATE or not self._cached:
            self._cached.clear()
            self._counted = self._count
        if share not in self._cached:
            ordered = sorted(self._samples)
            self._cached[share] = ordered[min(int(share * len(ordered)), len(ordered) - 1)]
        return self._cached[share]


@dataclass(frozen=True, slots=True)
class Measured:
    """Times of recent requests or, with 0 samples, the median and maximum of a few idle runs."""

    p50_ms: float
    p95_ms: float
    samples: int = 0


class Timings:
    """The times of this device.

    Workers call `record`. The measuring thread calls `measure`, `record_decode` and `forget`. The
    event loop calls everything but `record`, and only it reads windows. There are no locks: the
    operations on dicts and deques are atomic, and whatever others may change is copied before it
    is iterated.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.measured: dict[Key, Measured] = {}
        self._rates: dict[Key, float] = {}  # measured milliseconds per multiply-add
        self._inference: dict[Key, Window] = {}
        self._decode: dict[tuple[int, int], Window] = {}
        self._slowdown = Window()  # inference times relative to the idle measurement

    def measure(self, variant: Variant, measured: Measured) -> None:
        self._rates[variant.key] = measured.p50_ms / variant.madds
        self.measured[variant.key] = measured

    def record(
        self, key: Key, image_bytes: int, decode_ms: float, inference_ms: float, now_s: float
    ) -> None:
        """Record one served image; takes about a microsecond."""
        _add(self._inference, key, inference_ms, now_s)
        if idle := self.measured.get(key):
            self._slowdown.add(inference_ms / idle.p50_ms, now_s)
        self.record_decode(image_bytes, key[1], decode_ms, now_s)

    def record_decode(
        self, image_bytes: int, resolution: int, decode_ms: float, now_s: float
    ) -> None:
        _add(self._decode, (image_bytes.bit_length(), resolution), decode_ms, now_s)

    def observed(self, variant: Variant) -> Measured | None:
        """Times of recent requests, else of the idle measurement; None if there is neither."""
        window = self._inference.get(variant.key)
        if window is not None and len(window) >= MIN_SAMPLES:
            return _observed(window)
        return self.measured.get(variant.key)

    def inference_ms(self, variant: Variant) -> float:
        """The expected median time of an inference now.

        From recent requests if there are enough; else from the idle measurement times the current
        slowdown; else from the multiply-adds, at the median rate of the measured variants.
        """
        window = self._inference.get(variant.key)
        if window and window.is_current(self._clock()):
            return window.quantile(0.5)
        if idle := self.measured.get(variant.key):
            return idle.p50_ms * self.slowdown
        rates = list(self._rates.values())
        return variant.madds * (median(rates) if rates else GUESS_MS_PER_MADD) * self.slowdown

    @property
    def slowdown(self) -> float:
        """How many times longer than when idle an inference takes now."""
        current = self._slowdown.is_current(self._clock())
        return max(1.0, self._slowdown.quantile(0.5)) if current else 1.0

    def decode_ms(self, image_bytes: int, resolution: int) -> float:
        """The expected median time of decoding, from images of the same or the nearest size.

        Decoding time is roughly proportional to the encoded size.
        """
        if not self._decode:
            return GUESS_DECODE_MS * 2.0 ** (image_bytes.bit_length() - GUESS_BITS)
        wanted = (image_bytes.bit_length(), resolution)
        if window := self._decode.get(wanted):
            return window.quantile(0.5)
        nearest = min(
            tuple(self._decode),
            key=lambda size: (abs(size[0] - wanted[0]), abs(size[1] - wanted[1])),
        )
        return self._decode[nearest].quantile(0.5) * 2.0 ** (wanted[0] - nearest[0])

    @property
    def typical_bytes(self) -> int:
        """The most frequent size of encoded images, while that of the next one is unknown."""
        if not self._decode:
            return 1 << GUESS_BITS >> 1
        typical = max(self._decode.copy().items(), key=lambda item: len(item[1]))
        return 1 << typical[0][0] >> 1

    def decode_table(self) -> list[tuple[int, int, Measured]]:
        """(maximum bytes of an image, resolution, times) of all decoded images, in order."""
        return [
            (2**bits - 1, resolution, _observed(window))
            for (bits, resolution), window in sorted(self._decode.copy().items())
        ]

    def forget(self, models: set[str]) -> None:
        for key in [key for key in (*self.measured, *self._inference) if key[0] in models]:
            self.measured.pop(key, None)
            self._inference.pop(key, None)
            self._rates.pop(key, None)


def _observed(window: Window) -> Measured:
    return Measured(window.quantile(0.5), window.quantile(0.95), len(window))


def _add(windows: dict[Kind, Window], key: Kind, value: float, now_s: float) -> None:
    if (window := windows.get(key)) is not None:
        window.add(value, now_s)
        return
    window = Window()
    window.add(value, now_s)  # before others see it, as an empty window has no quantile
    windows.setdefault(key, window)

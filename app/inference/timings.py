"""How long variants and images take on this device: timed once, then followed by what is served.

Figures are medians and other quantiles of the newest samples, so that one slow run moves nothing.
Decoding depends on the image and not on the model, so it is kept apart, by the size of the encoded
image (each class is twice the one before) and the resolution that it is decoded for.
"""

import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from app.card.variant import Key, Variant

Kind = TypeVar("Kind", bound=Hashable)

WINDOW = 128  # newest samples that count
ENOUGH = 16  # of them for a figure to stand on its own
FRESH_S = 30.0  # older samples say less than a measurement at rest and how slow things are now
RECOUNT = 8  # new samples after which a quantile is taken again

# For what was never timed: a core of a small board, 20 G multiply-adds a second, and its decoding
# of a JPEG of 64 KiB. Both give way to the first figure that is measured.
GUESS_MS_PER_MADD = 50e-9
GUESS_DECODE_MS = 2.0
GUESS_BITS = 17


class Window:
    """Quantiles of the newest samples. Any threads add, one reads; none waits."""

    __slots__ = ("_cached", "_count", "_counted", "_samples", "last_s")

    def __init__(self) -> None:
        self._samples: deque[float] = deque(maxlen=WINDOW)
        self._count = 0
        self._counted = 0
        self._cached: dict[float, float] = {}
        self.last_s = 0.0  # when the newest came

    def __len__(self) -> int:
        return len(self._samples)

    def add(self, value: float, now_s: float) -> None:
        self._samples.append(value)
        self._count += 1
        self.last_s = now_s

    def quantile(self, share: float) -> float:
        """The value below which `share` of the samples lie; of at least one sample."""
        if self._count - self._counted >= RECOUNT or not self._cached:
            self._cached.clear()
            self._counted = self._count
        if share not in self._cached:
            ordered = sorted(self._samples)
            self._cached[share] = ordered[min(int(share * len(ordered)), len(ordered) - 1)]
        return self._cached[share]


@dataclass(frozen=True, slots=True)
class Measured:
    """Milliseconds of one thread at rest: the median of a few runs, and the slowest of them."""

    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class Observed:
    """What is known of a variant's time: `samples` of 0 is a measurement at rest."""

    p50_ms: float
    p95_ms: float
    samples: int


class Timings:
    """The device's times.

    Workers `record`, the thread that measures calls `measure`, `record_decode` and `forget`, and
    the event loop all but `record`; it alone reads windows. Nobody waits for a lock: what is done
    to a dict or a deque here is one step for the interpreter, and what is gone over while others
    add to it is copied before.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.measured: dict[Key, Measured] = {}
        self._rates: dict[Key, float] = {}  # milliseconds a multiply-add, of the measured ones
        self._inference: dict[Key, Window] = {}
        self._decode: dict[tuple[int, int], Window] = {}
        self._slowdown = Window()  # what runs took, as multiples of what they took at rest

    def measure(self, variant: Variant, found: Measured) -> None:
        """Take what a measurement at rest found."""
        self._rates[variant.key] = found.p50_ms / variant.madds
        self.measured[variant.key] = found

    def record(
        self, key: Key, image_bytes: int, decode_ms: float, inference_ms: float, now_s: float
    ) -> None:
        """Remember one image that was served; takes about a microsecond."""
        _add(self._inference, key, inference_ms, now_s)
        if rest := self.measured.get(key):
            self._slowdown.add(inference_ms / rest.p50_ms, now_s)
        self.record_decode(image_bytes, key[1], decode_ms, now_s)

    def record_decode(
        self, image_bytes: int, resolution: int, decode_ms: float, now_s: float
    ) -> None:
        """Remember one image that was decoded for `resolution`."""
        _add(self._decode, (image_bytes.bit_length(), resolution), decode_ms, now_s)

    def observed(self, variant: Variant) -> Observed | None:
        """What requests took lately, else what was measured at rest; None if neither is there."""
        window = self._inference.get(variant.key)
        if window is not None and len(window) >= ENOUGH:
            return Observed(window.quantile(0.5), window.quantile(0.95), len(window))
        if rest := self.measured.get(variant.key):
            return Observed(rest.p50_ms, rest.p95_ms, 0)
        return None

    def inference_ms(self, variant: Variant) -> float:
        """The median that a run is expected to take now.

        From requests of the last seconds where there are enough; else as measured at rest, times
        how much slower than at rest everything is at present; else by multiply-adds.
        """
        window = self._inference.get(variant.key)
        now_s = self._clock()
        if window is not None and len(window) >= ENOUGH and now_s - window.last_s < FRESH_S:
            return window.quantile(0.5)
        rest = self.measured.get(variant.key)
        if rest is not None:
            return rest.p50_ms * self.slowdown
        return self._guess(variant)

    @property
    def slowdown(self) -> float:
        """How many times longer than at rest runs take at present."""
        window = self._slowdown
        if len(window) < ENOUGH or self._clock() - window.last_s > FRESH_S:
            return 1.0
        return max(1.0, window.quantile(0.5))

    def decode_ms(self, image_bytes: int, resolution: int) -> float:
        """The median that decoding is expected to take: like images before it, or like the nearest.

        Decoding takes time in proportion to the encoded size, more or less.
        """
        if not self._decode:
            return GUESS_DECODE_MS * 2.0 ** (image_bytes.bit_length() - GUESS_BITS)
        wanted = (image_bytes.bit_length(), resolution)
        window = self._decode.get(wanted)
        if window is not None:
            return window.quantile(0.5)
        nearest = min(
            tuple(self._decode),
            key=lambda size: (abs(size[0] - wanted[0]), abs(size[1] - wanted[1])),
        )
        return self._decode[nearest].quantile(0.5) * 2.0 ** (wanted[0] - nearest[0])

    @property
    def usual_bytes(self) -> int:
        """Size of the images that are sent most, for when the next one's is not known yet."""
        if not self._decode:
            return 1 << GUESS_BITS >> 1
        usual = max(self._decode.copy().items(), key=lambda item: len(item[1]))
        return 1 << usual[0][0] >> 1

    def decode_table(self) -> list[tuple[int, int, Observed]]:
        """(bytes of an image at most, resolution, times) of all that was decoded, in order."""
        return [
            (
                2**bits - 1,
                resolution,
                Observed(window.quantile(0.5), window.quantile(0.95), len(window)),
            )
            for (bits, resolution), window in sorted(self._decode.copy().items())
        ]

    def forget(self, models: set[str]) -> None:
        """Drop what was known of models that are not what they were."""
        for key in [key for key in (*self.measured, *self._inference) if key[0] in models]:
            self.measured.pop(key, None)
            self._inference.pop(key, None)
            self._rates.pop(key, None)

    def _guess(self, variant: Variant) -> float:
        """By multiply-adds, at the rate of what was measured."""
        rates = list(self._rates.values())
        rate = median(rates) if rates else GUESS_MS_PER_MADD
        return variant.madds * rate * self.slowdown


def _add(windows: dict[Kind, Window], key: Kind, value: float, now_s: float) -> None:
    """Add a sample to the window of a key."""
    if (window := windows.get(key)) is not None:
        window.add(value, now_s)
        return
    window = Window()
    window.add(value, now_s)  # before others see it: an empty one has no quantile
    windows.setdefault(key, window)

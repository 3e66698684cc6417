"""Timing every loaded variant on this device, and keeping the figures beside the store.

As with optimised graphs, a figure is only good for the file, the runtime and the CPU that it was
measured with; they are in the name of the file that keeps it.
"""

import asyncio
import io
import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from app.arrays import Uint8Array
from app.card.card import Preprocessing
from app.card.variant import Variant, variants_of
from app.images.decode import load_image
from app.images.limits import ImageLimits
from app.inference.timings import Measured, Timings
from app.model.graph_cache import FOLDER, drop_others, kept_name
from app.model.model import Model
from app.model.store import Store

log = logging.getLogger(__name__)

RUNS = 7  # timed, after one that is not
DECODES = 3
PHOTOS = ((320, 240), (640, 480), (1280, 720))
USUAL = Preprocessing(resize="shortest_edge", crop_fraction=0.875, interpolation="bilinear")
WAIT_S = 0.005


@dataclass(frozen=True, slots=True)
class Report:
    """What a measurement did; `left_out` had no time left."""

    measured: int
    kept: int  # figures that were there from an earlier measurement
    left_out: int
    took_s: float


class Measurer:
    """Times variants one after another on the thread that asks.

    It gives way to requests: while there are any it waits, as long as its time allows.
    """

    def __init__(
        self,
        store: Store,
        timings: Timings,
        resolutions: Sequence[int],
        busy: Callable[[], bool],
        *,
        keep: bool = True,
    ) -> None:
        self._store = store
        self._timings = timings
        self._resolutions = tuple(resolutions)
        self._busy = busy
        self._keep = keep
        self._stopped = threading.Event()
        self._turn = asyncio.Lock()

    def stop(self) -> None:
        """End a measurement that is under way after its present run."""
        self._stopped.set()

    def recall(self) -> int:
        """Take the figures that an earlier measurement kept; how many there were."""
        found = 0
        for model, variants in self._by_model():
            kept = _read(self._store.path(model.name))
            for variant in variants:
                if variant.resolution in kept:
                    self._timings.measure(variant, kept[variant.resolution])
                    found += 1
        return found

    async def measure_in_turn(self, limit_s: float, *, again: bool = True) -> Report:
        """As `measure`, on another thread, one call at a time; then release memory.

        `limit_s` is the most that it takes, once it is its turn.
        """
        async with self._turn:
            report = await asyncio.to_thread(self.measure, limit_s, again=again)
        if report.measured:  # runs at many resolutions leave memory in pieces that fit none
            await asyncio.to_thread(self._store.release_memory)
        return report

    def measure(self, limit_s: float, *, again: bool = True) -> Report:
        """Time decoding and every variant, trained resolutions first, for at most `limit_s`.

        With `again` false, variants that have a figure keep it.
        """
        began = time.monotonic()
        give_up_at = began + limit_s
        loaded = self._by_model()
        wanted = [
            (model, variant)
            for model, variants in loaded
            for variant in variants
            if again or variant.key not in self._timings.measured
        ]
        kept = sum(len(variants) for _, variants in loaded) - len(wanted)
        wanted.sort(key=lambda pair: pair[1].resolution != pair[0].card.resolution)
        measured = 0
        if wanted:
            self._measure_decoding(give_up_at)
        for model, variant in wanted:
            if (found := self._time(model, variant.resolution, give_up_at)) is None:
                break
            self._timings.measure(variant, found)
            if self._store.holds(model):
                measured += 1
            else:  # a reload has replaced it meanwhile, and may have had it forgotten before
                self._timings.forget({model.name})
        if measured:
            self._write(loaded)
        report = Report(measured, kept, len(wanted) - measured, time.monotonic() - began)
        log.info(
            "measured %s variants in %.1f s, %s known before, %s left out",
            report.measured, report.took_s, report.kept, report.left_out,
        )  # fmt: skip
        return report

    def _by_model(self) -> list[tuple[Model, list[Variant]]]:
        return [
            (model, variants_of(model.card, model.file_bytes, self._resolutions))
            for model in self._store
        ]

    def _time(self, model: Model, resolution: int, give_up_at: float) -> Measured | None:
        """Time a variant, or None if the time is over."""
        image = _noise(resolution, resolution)[np.newaxis]
        # On the CPU a run stays on this thread: its processor time leaves out what others do.
        clock = time.thread_time if model.providers == ["cpu"] else time.perf_counter
        took_ms = []
        for _ in range(1 + RUNS):
            if not self._may_go_on(give_up_at):
                return None
            began = clock()
            model.probabilities(image)
            took_ms.append((clock() - began) * 1000)
        ordered = sorted(took_ms[1:])
        return Measured(round(ordered[RUNS // 2], 3), round(ordered[-1], 3))

    def _measure_decoding(self, give_up_at: float) -> None:
        """Time the decoding of a soft picture in the sizes of cameras, at the middle resolution."""
        sides = sorted(self._resolutions)
        side = sides[len(sides) // 2] if sides else 224
        noise = _noise(80, 60)
        for size in PHOTOS:
            data = io.BytesIO()
            Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(data, "JPEG")
            for _ in range(DECODES):
                if not self._may_go_on(give_up_at):
                    return
                began = time.thread_time()
                load_image(data.getvalue(), side, USUAL, ImageLimits())
                took_ms = (time.thread_time() - began) * 1000
                now_s = time.perf_counter()
                self._timings.record_decode(len(data.getvalue()), side, took_ms, now_s)

    def _may_go_on(self, give_up_at: float) -> bool:
        """Wait while there are requests; whether there is time left then."""
        while not (over := time.monotonic() >= give_up_at or self._stopped.is_set()):
            if not self._busy():
                break
            time.sleep(WAIT_S)
        return not over

    def _write(self, loaded: list[tuple[Model, list[Variant]]]) -> None:
        if not self._keep:
            return
        known = self._timings.measured.copy()  # a reload may forget some
        for model, variants in loaded:
            figures = {
                variant.resolution: asdict(known[variant.key])
                for variant in variants
                if variant.key in known
            }
            if not self._store.holds(model):
                continue
            try:
                path = _kept(self._store.path(model.name))
                path.parent.mkdir(exist_ok=True)
                drop_others(path)
                path.write_text(json.dumps(figures), "utf-8")
            except (OSError, KeyError) as error:  # it cannot be written, or was just dropped
                log.info("the times of %s are not kept: %s", model.name, error)


def _noise(width: int, height: int) -> Uint8Array:
    """RGB noise [height, width, 3], the same every time; the container has no numpy.random."""
    data = Random(0).randbytes(height * width * 3)  # noqa: S311  no secret
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)


def _read(model: Path) -> dict[int, Measured]:
    """Kept figures of a model file by resolution; none if there are none that can be read."""
    try:
        text = _kept(model).read_text("utf-8")
        return {int(side): Measured(**figures) for side, figures in json.loads(text).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _kept(model: Path) -> Path:
    return model.parent / FOLDER / kept_name(model, "json")
